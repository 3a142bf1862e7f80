"""Reader of weights of Caffe."""
