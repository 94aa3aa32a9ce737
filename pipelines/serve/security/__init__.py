"""Who may ask the server what: TLS, tokens and their scopes, the audit log, and the client's side of them."""
