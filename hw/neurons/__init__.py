"""The neurons of a group of lanes: firing, credit, credit filter, their memories."""
