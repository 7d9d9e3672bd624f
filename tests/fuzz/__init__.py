"""Every parser of foreign bytes, fed with what nobody would send."""
