"""The paper's claim at tiny scale: does the order of the stages keep what was learnt before?"""
