//! Envoy filter.
