"""Netlists of boards, after synthesis or after place and route, simulated through their pins."""
