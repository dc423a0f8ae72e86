"""What a developer of this provider runs: the demo, the web interface, and the servers behind them."""
