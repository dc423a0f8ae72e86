"""The manual as code: endpoints, envelopes, what a reply means, how a session signs a call. No I/O."""
