"""Prove a port: capture the reference's answers, measure the port against them, judge the figures."""
