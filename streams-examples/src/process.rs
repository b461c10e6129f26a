//! What Linux says of a process that is measured from outside.

use crate::demo::Failure;

/// Clock ticks per second of `/proc/PID/stat` on Linux.
const TICKS_PER_SECOND: f64 = 100.0;

/// User and system time of a process so far, s.
///
/// # Errors
/// The process is gone, or this is not Linux.
pub fn cpu_seconds(pid: u32) -> Result<f64, Failure> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |field: usize| fields.get(field).and_then(|text| text.parse::<f64>().ok()).unwrap_or(0.0);
    Ok((ticks(11) + ticks(12)) / TICKS_PER_SECOND)
}

/// The most memory that a process has used, bytes.
///
/// # Errors
/// The process is gone, or this is not Linux.
pub fn peak_memory(pid: u32) -> Result<u64, Failure> {
    memory_line(pid, "VmHWM:")
}

/// The memory that a process uses now, bytes.
///
/// # Errors
/// The process is gone, or this is not Linux.
pub fn resident_memory(pid: u32) -> Result<u64, Failure> {
    memory_line(pid, "VmRSS:")
}

fn memory_line(pid: u32, name: &str) -> Result<u64, Failure> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
    let kilobytes: u64 = line.trim().trim_end_matches(" kB").parse()?;
    Ok(kilobytes * 1024)
}
