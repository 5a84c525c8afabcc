//! Reading lists page by page.

use super::error::CommandError;

/// Rows asked for at a time; the most the API gives.
const MAX_PAGE: u32 = 1000;

/// Whether a list was read to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rest {
    /// Nothing is left.
    Nothing,
    /// The limit was reached before the end.
    More,
}

/// Calls `fetch(page_size, page_token)` until the list or the limit ends, and
/// hands each page to `take`. `None`: no limit.
pub(super) async fn read_pages<T>(
    limit: Option<u32>,
    mut fetch: impl AsyncFnMut(u32, String) -> Result<(Vec<T>, String), CommandError>,
    mut take: impl FnMut(Vec<T>) -> Result<(), CommandError>,
) -> Result<Rest, CommandError> {
    let mut left = limit.unwrap_or(u32::MAX);
    let mut token = String::new();
    while left > 0 {
        let (mut page, next) = fetch(left.min(MAX_PAGE), token).await?;
        page.truncate(left as usize);
        if limit.is_some() {
            left -= u32::try_from(page.len()).unwrap_or(left);
        }
        take(page)?;
        if next.is_empty() {
            return Ok(Rest::Nothing);
        }
        token = next;
    }
    Ok(Rest::More)
}
