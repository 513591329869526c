"""What stands in for abctl where no registry can be reached: it records what it was asked, and says what it is."""
