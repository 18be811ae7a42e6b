"""Any model, one stream."""
