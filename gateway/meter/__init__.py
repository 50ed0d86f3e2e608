"""What the run would cost on AWS: units as AWS meters them, prices, and the bill."""
