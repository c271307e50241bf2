"""The console's pages, one module each; `add` puts its pages into the application."""
