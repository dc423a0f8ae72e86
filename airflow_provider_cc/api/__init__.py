"""The manual as code: endpoints, formats and meaning of replies, and how a session signs a call. No I/O."""
