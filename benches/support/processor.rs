//! Processor time of this process.

/// User and system time of this process; zero where the platform does not tell.
pub fn processor_seconds() -> f64 {
    let Ok(stat) = std::fs::read_to_string("/proc/self/stat") else { return 0.0 };
    let after_name = stat.rsplit(')').next().unwrap_or_default();
    let ticks = after_name.split_whitespace().skip(11).take(2).filter_map(|field| field.parse::<f64>().ok());
    // Linux counts in hundredths of a second.
    ticks.sum::<f64>() / 100.0
}
