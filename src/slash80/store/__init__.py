"""What is remembered between calls: attachments, addresses and the locks that keep several processes apart."""
