"""Make emitted functions read as a person would have written them; none of it changes what they compute."""
