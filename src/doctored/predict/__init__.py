from doctored.predict.detector import Detector, inspect, trace_features

__all__ = ["Detector", "inspect", "trace_features"]
