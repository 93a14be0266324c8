"""Facts about the service that its schema lacks: headers, and the values of metrics' labels."""
