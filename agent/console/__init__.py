"""The supervisors' console: pages in the browser over the service layer, in a process of its own."""
