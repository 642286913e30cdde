//! What is allocated in steady state: nothing. In a process of its own and without a test harness, whose thread would allocate
//! meanwhile, whenever it gets to run: all that is allocated is counted.

#[cfg(unix)]
mod counted;

fn main() {
    #[cfg(unix)]
    counted::the_steady_state_allocates_nothing();
}
