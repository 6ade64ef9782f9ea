"""What a call works with on its host: store, locks, sockets, and the state that several verbs share."""
