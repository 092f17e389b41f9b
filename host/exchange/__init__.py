"""Exchange of networks with other frameworks: state dicts and NIR graphs, quantisation and its cost."""
