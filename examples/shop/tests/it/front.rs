//! What the front says to customers, above all to those who are wrong.

use std::time::Duration;

use amends::{Access, Database};
use axum::body::{Body, to_bytes};
use axum::http::{Method, Request, StatusCode};
use serde_json::{Value, json};
use shop::front::{Front, Peers};
use shop::holds::Holds;
use shop::proto::coupon_service_server::CouponServiceServer;
use shop::proto::goods_service_server::GoodsServiceServer;
use shop::proto::order_service_server::OrderServiceServer;
use shop::proto::user_service_server::UserServiceServer;
use shop::samples::{COUPON, GOODS, USER};
use shop::services::coupon::CouponQueries;
use shop::services::goods::GoodsQueries;
use shop::services::order::{OrderQueries, Orders};
use shop::services::user::UserQueries;
use tokio::net::TcpListener;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tower::ServiceExt;

use crate::databases::on_sqlite;
use crate::shop::{Shop, full_order, order};

/// Nobody listens there: the port is one that was just given back.
async fn nobody() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    format!("http://{}", listener.local_addr().unwrap())
}

/// A front without a coordinator.
async fn front(services: &str) -> Front {
    Front::new(&Peers {
        coordinator: nobody().await,
        access: Access::new(),
        order: services.to_owned(),
        goods: services.to_owned(),
        coupon: services.to_owned(),
        user: services.to_owned(),
        pay: services.to_owned(),
        patience: Duration::ZERO,
        buy_within: Duration::from_secs(1),
        holds: Holds::none(),
    })
    .unwrap()
}

async fn send(front: &Front, method: Method, path: &str, body: &str) -> (StatusCode, Value) {
    let request = Request::builder().method(method).uri(path);
    ask(front, request.body(Body::from(body.to_owned())).unwrap()).await
}

async fn ask(front: &Front, request: Request<Body>) -> (StatusCode, Value) {
    let response = front.router().oneshot(request).await.unwrap();
    let status = response.status();
    let body = to_bytes(response.into_body(), 1 << 20).await.unwrap();
    (status, serde_json::from_slice(&body).unwrap_or_default())
}

fn good_body() -> Value {
    let body = shop::front::OrderRequest::from(full_order("a"));
    serde_json::to_value(body).unwrap()
}

#[tokio::test]
async fn wrong_orders_are_refused_with_a_code_before_anything_happens() {
    let front = front(&nobody().await).await;
    let check = async |field: &str, value: Value, status: u16, code: &str| {
        let mut body = good_body();
        body[field] = value;
        let (found, answer) = send(&front, Method::POST, "/orders", &body.to_string()).await;
        assert_eq!(
            (found.as_u16(), answer["code"].as_str()),
            (status, Some(code)),
            "{answer}"
        );
        assert!(!answer["message"].as_str().unwrap().is_empty());
    };
    check("goods_number", json!(0), 422, "ORDER_INVALID").await;
    check("goods_number", json!("1"), 400, "ORDER_INVALID").await;
    check("goods_number", json!(1.5), 400, "ORDER_INVALID").await;
    check("goods_number", Value::Null, 400, "ORDER_INVALID").await;
    check("user_id", json!("me"), 400, "ORDER_INVALID").await;
    check("user_id", json!(-1), 400, "ORDER_INVALID").await;
    check("order_id", json!("a b"), 400, "ORDER_INVALID").await;
    check("order_id", json!("x".repeat(65)), 400, "ORDER_INVALID").await;
    check("surprise", json!(1), 400, "ORDER_INVALID").await;
    check("address", json!(""), 422, "ORDER_INVALID").await;
    check(
        "shipping_fee",
        json!(1000),
        422,
        "ORDER_SHIPPINGFEE_INVALID",
    )
    .await;
    check("order_amount", json!(1), 422, "ORDERAMOUNT_INVALID").await;
    check("money_paid", json!(-1), 422, "MONEY_PAID_LESS_ZERO").await;
    check("money_paid", json!(100_000), 409, "MONEY_PAID_INVALID").await;
}

#[tokio::test]
async fn bodies_that_are_no_orders_are_refused() {
    let front = front(&nobody().await).await;
    let check = async |body: &str, status: u16| {
        let (found, _) = send(&front, Method::POST, "/orders", body).await;
        assert_eq!(found.as_u16(), status, "{body:.40}");
    };
    check("", 400).await;
    check("{", 400).await;
    check("[]", 400).await;
    check("null", 400).await;
    check("\u{0}", 400).await;
    check(&" ".repeat(20_000), 413).await;
}

#[tokio::test]
async fn the_header_and_the_body_may_not_name_two_orders() {
    let front = front(&nobody().await).await;
    let request = Request::post("/orders").header("idempotency-key", "b");
    let request = request.body(Body::from(good_body().to_string())).unwrap();
    let (status, answer) = ask(&front, request).await;
    assert_eq!(
        (status.as_u16(), answer["code"].as_str()),
        (400, Some("ORDER_INVALID"))
    );
}

#[tokio::test]
async fn what_is_away_is_said_to_be_away() {
    let front = front(&nobody().await).await;
    let check = async |method: Method, path: &str, body: &str| {
        let (status, answer) = send(&front, method, path, body).await;
        assert_eq!(
            (status.as_u16(), answer["code"].as_str()),
            (503, Some("SHOP_UNAVAILABLE"))
        );
    };
    check(Method::POST, "/orders", &good_body().to_string()).await;
    check(Method::GET, "/orders/a", "").await;
    check(Method::GET, "/goods", "").await;
    check(Method::GET, &format!("/users/{USER}"), "").await;
    let request = Request::get("/goods").body(Body::empty()).unwrap();
    let response = front.router().oneshot(request).await.unwrap();
    assert_eq!(response.headers()["retry-after"], "1");
}

#[tokio::test]
async fn pages_that_do_not_exist_and_one_that_does() {
    let front = front(&nobody().await).await;
    let check = async |method: Method, path: &str, status: u16, code: &str| {
        let (found, answer) = send(&front, method, path, "").await;
        assert_eq!(
            (found.as_u16(), answer["code"].as_str()),
            (status, Some(code)),
            "{path}"
        );
    };
    check(Method::GET, "/nothing", 404, "PAGE_NO_EXIST").await;
    check(Method::DELETE, "/orders/a", 405, "METHOD_INVALID").await;
    check(Method::GET, "/users/me", 400, "REQUEST_INVALID").await;
    let (status, _) = send(&front, Method::GET, "/", "").await;
    assert_eq!(status, StatusCode::OK);
}

/// Serves the queries of all services over one database.
async fn serve_queries(database: &Database) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let database = || database.clone();
    let server = Server::builder()
        .add_service(OrderServiceServer::new(OrderQueries {
            database: database(),
        }))
        .add_service(GoodsServiceServer::new(GoodsQueries {
            database: database(),
        }))
        .add_service(CouponServiceServer::new(CouponQueries {
            database: database(),
        }))
        .add_service(UserServiceServer::new(UserQueries {
            database: database(),
        }))
        .serve_with_incoming(TcpIncoming::from(listener));
    tokio::spawn(server);
    format!("http://{address}")
}

#[tokio::test]
async fn questions_are_answered_by_the_services() {
    on_sqlite(async |database| {
        let shop = Shop::new(database).await;
        let front = front(&serve_queries(&shop.database).await).await;
        let get = async |path: &str| send(&front, Method::GET, path, "").await;
        let (_, goods) = get("/goods").await;
        assert_eq!(goods[0]["goods_id"], GOODS.to_string());
        assert_eq!(
            (&goods[0]["goods_price"], &goods[0]["goods_number"]),
            (&json!(100_000), &json!(999))
        );
        let (_, user) = get(&format!("/users/{USER}")).await;
        assert_eq!(user["user_money"], 90_000);
        assert_eq!(user["coupons"][0]["coupon_id"], COUPON.to_string());
        let (status, answer) = get("/users/7").await;
        assert_eq!(
            (status.as_u16(), answer["code"].as_str()),
            (404, Some("USER_NO_EXIST"))
        );
        let (status, answer) = get("/orders/a").await;
        assert_eq!(
            (status.as_u16(), answer["code"].as_str()),
            (404, Some("ORDER_NO_EXIST"))
        );
        shop.place(&full_order("a")).await.unwrap();
        let (_, placed) = get("/orders/a").await;
        assert_eq!(placed["order_status"], "confirmed");
        assert_eq!(placed["pay_amount"], 88_000);
    })
    .await;
}

#[tokio::test]
async fn an_order_can_be_cancelled_while_it_is_placed_and_not_after() {
    on_sqlite(async |database| {
        let shop = Shop::new(database).await;
        let front = front(&serve_queries(&shop.database).await).await;
        let cancel = async |id: &str| {
            let path = format!("/orders/{id}/cancel");
            let (status, answer) = send(&front, Method::POST, &path, "").await;
            (
                status.as_u16(),
                answer["code"].as_str().unwrap_or_default().to_owned(),
            )
        };
        shop.orders
            .run(Orders::CREATE, "a", &order("a"))
            .await
            .unwrap();
        assert_eq!(cancel("a").await, (204, String::new()));
        assert_eq!(cancel("a").await, (204, String::new()));
        shop.place(&order("b")).await.unwrap();
        assert_eq!(cancel("b").await, (409, "ORDER_STATUS_INVALID".to_owned()));
        assert_eq!(cancel("c").await, (404, "ORDER_NO_EXIST".to_owned()));
    })
    .await;
}
