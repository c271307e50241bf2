"""What supervisors may know and do: one service layer under the console and the REST interface."""
