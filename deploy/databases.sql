-- The roles and databases of docker-compose.yml, for psql. It may run again: what is there stays,
-- and passwords become what the variables say.
\set ON_ERROR_STOP on
\getenv coordinator_password COORDINATOR_DB_PASSWORD
\getenv shop_password SHOP_DB_PASSWORD

SELECT format('CREATE ROLE %I LOGIN', role)
FROM (VALUES ('amends'), ('shop')) AS wanted (role)
WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = role) \gexec

ALTER ROLE amends PASSWORD :'coordinator_password';
ALTER ROLE shop PASSWORD :'shop_password';

SELECT format('CREATE DATABASE %I OWNER %I', name, owner)
FROM (VALUES
    ('amends', 'amends'),
    ('shop_order', 'shop'),
    ('shop_goods', 'shop'),
    ('shop_coupon', 'shop'),
    ('shop_user', 'shop'),
    ('shop_mail', 'shop'),
    ('shop_pay', 'shop'),
    ('shop_paylog', 'shop'),
    ('shop_provider', 'shop')
) AS wanted (name, owner)
WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = name) \gexec

-- Neither role sees the other's.
SELECT format('REVOKE CONNECT ON DATABASE %I FROM PUBLIC', datname)
FROM pg_database
WHERE datname IN (
    'amends', 'shop_order', 'shop_goods', 'shop_coupon', 'shop_user', 'shop_mail', 'shop_pay', 'shop_paylog', 'shop_provider'
) \gexec
