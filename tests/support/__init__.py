"""What tests share: event loops, peer programs, frames on the wire."""
