//! With a budget of memory nothing is allocated once a server has started, whoever comes and goes. In a process of its own
//! and without a test harness, as `alloc` is: all that is allocated is counted.

#[cfg(unix)]
mod counted;

fn main() {
    #[cfg(unix)]
    counted::nothing_is_allocated_after_the_start();
}
