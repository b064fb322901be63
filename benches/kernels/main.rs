//! Kernels at SD v1.5's shapes: each row is verified against the naive variant before it is timed.
//!
//! `cargo bench --bench kernels [-- FILTER]` prints, per row, milliseconds, GFLOP/s and GB/s (per core-second where the
//! device is a CPU driver).

mod adapters;
mod attention;
mod conv;
mod elementwise;
mod gemm;
mod pictures;
mod rows;

fn main() {
    rows::run(std::env::args().skip(1).find(|argument| !argument.starts_with('-')).as_deref());
}
