//! `GET /`: a small page to place an order by hand.

use axum::response::Html;

const PAGE: &str = include_str!("page.html");

/// The page; it talks to the routes beside it.
pub(super) async fn page() -> Html<String> {
    Html(PAGE.replace("{{user}}", &crate::samples::USER.to_string()))
}
