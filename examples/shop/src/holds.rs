//! Named places in the services where a scenario can make a step wait, so
//! that a process is killed at an exactly known point and not at some time.
//!
//! A demonstration needs this, a service does not: without a folder of holds
//! every place is passed at once. A hold is a file with the place's name; a
//! step that comes to it writes `NAME.reached` and goes on when the file is
//! gone, after [`MAX_HOLD`] at the latest.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// No step waits longer.
pub const MAX_HOLD: Duration = Duration::from_secs(30);

/// A step cannot be told about a file: it looks for it this often.
const LOOK_EVERY: Duration = Duration::from_millis(2);

/// Stock is taken, not yet committed.
pub const GOODS_RESERVE: &str = "goods.reserve";
/// The coupon is taken, not yet committed.
pub const COUPON_USE: &str = "coupon.use";
/// The balance is charged, not yet committed.
pub const USER_DEDUCT: &str = "user.deduct";
/// The order is confirmed, not yet committed.
pub const ORDER_CONFIRM: &str = "order.confirm";
/// Stock is put back, not yet committed.
pub const GOODS_RELEASE: &str = "goods.release";
/// The coupon is given back, not yet committed.
pub const COUPON_GIVE_BACK: &str = "coupon.give-back";
/// The balance is paid back, not yet committed.
pub const USER_REFUND: &str = "user.refund";
/// The order is cancelled, not yet committed.
pub const ORDER_ABANDON: &str = "order.abandon";
/// Money or points are frozen, not yet committed.
pub const USER_FREEZE: &str = "user.freeze";
/// What was frozen is spent, not yet committed.
pub const USER_SETTLE: &str = "user.settle";
/// Everything is held for a purchase, nothing is decided: in the front.
pub const FRONT_BUY: &str = "front.buy";
/// The payment is paid, not yet committed.
pub const PAY_SETTLE: &str = "pay.settle";

/// The service's side of all holds.
#[derive(Clone, Debug, Default)]
pub struct Holds {
    folder: Option<PathBuf>,
}

impl Holds {
    /// No step ever waits.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    /// Looks for holds in this folder.
    #[must_use]
    pub fn in_folder(folder: impl Into<PathBuf>) -> Self {
        Self {
            folder: Some(folder.into()),
        }
    }

    /// Waits here for as long as the place is held.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub async fn pass(&self, place: &str) -> io::Result<()> {
        let Some(folder) = &self.folder else {
            return Ok(());
        };
        let hold = folder.join(place);
        if !hold.exists() {
            return Ok(());
        }
        std::fs::write(reached_file(&hold), [])?;
        // A hold that nobody lifts is as good as none.
        tokio::time::timeout(MAX_HOLD, until(|| !hold.exists()))
            .await
            .ok();
        Ok(())
    }
}

/// The scenario's side: a place is held from [`Hold::set`] on, until
/// [`Hold::lift`] or the drop.
#[derive(Debug)]
pub struct Hold {
    file: PathBuf,
}

impl Hold {
    /// Holds a place.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub fn set(folder: &Path, place: &str) -> io::Result<Self> {
        let file = folder.join(place);
        remove(&reached_file(&file))?;
        std::fs::write(&file, [])?;
        Ok(Self { file })
    }

    /// Waits until a step waits at the place; `false` after [`MAX_HOLD`].
    pub async fn reached(&self) -> bool {
        let reached = reached_file(&self.file);
        tokio::time::timeout(MAX_HOLD, until(|| reached.exists()))
            .await
            .is_ok()
    }

    /// Lets everybody pass.
    pub fn lift(self) {}
}

impl Drop for Hold {
    fn drop(&mut self) {
        remove(&self.file).ok();
    }
}

fn reached_file(hold: &Path) -> PathBuf {
    hold.with_added_extension("reached")
}

fn remove(file: &Path) -> io::Result<()> {
    match std::fs::remove_file(file) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

async fn until(is_so: impl Fn() -> bool) {
    while !is_so() {
        tokio::time::sleep(LOOK_EVERY).await;
    }
}
