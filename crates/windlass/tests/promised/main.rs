//! What peers make us allocate that announce gigabytes. In a process of its own and without a test harness, whose thread would allocate
//! meanwhile, whenever it gets to run: all that is allocated is counted.

#[cfg(unix)]
mod counted;

fn main() {
    #[cfg(unix)]
    counted::memory_follows_what_was_received();
}
