"""Pictures of networks, recordings and training, with matplotlib.

Every function draws into the axes (or the figure) that it gets, or makes new ones, and returns them; none shows them.

>>> import opzo, opzo.plot
>>> data = opzo.load_data("digits")
>>> network = data.network()
>>> model = opzo.Model(network, opzo.connect("golden", network))
>>> axes = opzo.plot.raster(model.record(data.test[:1]))
>>> axes.get_xlabel()
'time step'
"""

from opzo.host.plot.classes import confusion
from opzo.host.plot.history import curves, firing_rates
from opzo.host.plot.recordings import potentials, raster
from opzo.host.plot.weights import weights

__all__ = ["confusion", "curves", "firing_rates", "potentials", "raster", "weights"]
