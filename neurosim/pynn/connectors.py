from pyNN.connectors import *
