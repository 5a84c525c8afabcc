//! When a process ends.

use std::io::Read;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;

/// Ready when the process is told to end: by Ctrl-C, SIGTERM, or, where
/// `with_stdin` says so, the end of standard input.
pub async fn the_end(with_stdin: bool) {
    let terminate = async {
        match signal(SignalKind::terminate()) {
            Ok(mut terminate) => {
                terminate.recv().await;
            }
            Err(_) => std::future::pending().await,
        }
    };
    let stdin = async {
        if with_stdin {
            stdin_ends().await;
        } else {
            std::future::pending::<()>().await;
        }
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        () = terminate => {}
        () = stdin => {}
    }
}

/// Ends the whole process when standard input ends, without further ado.
pub fn exit_with_stdin() {
    std::thread::spawn(|| {
        drain_stdin();
        std::process::exit(0);
    });
}

/// On a thread of its own, because a runtime waits for its blocking tasks
/// before it ends, and this one may never be done.
async fn stdin_ends() {
    let (ended, end) = oneshot::channel();
    std::thread::spawn(move || {
        drain_stdin();
        ended.send(()).ok();
    });
    end.await.ok();
}

fn drain_stdin() {
    let mut buffer = [0; 256];
    let mut stdin = std::io::stdin().lock();
    while matches!(stdin.read(&mut buffer), Ok(1..)) {}
}
