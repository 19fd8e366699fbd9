"""The protocol of arXiv:2506.00910 on its 11 data sets: see README.md beside this file."""
