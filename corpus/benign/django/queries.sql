-- Statements that Django 5.2 sent for an admin's visit and some work with its models, each kind once.
-- name: 1 select auth_user
-- observe: masked first_name, last_name, email
-- block: masked first_name, last_name, email
SELECT "auth_user"."id", "auth_user"."password", "auth_user"."last_login", "auth_user"."is_superuser", "auth_user"."username", "auth_user"."first_name", "auth_user"."last_name", "auth_user"."email", "auth_user"."is_staff", "auth_user"."is_active", "auth_user"."date_joined" FROM "auth_user" WHERE "auth_user"."username" = 'dana' LIMIT 21;
-- name: 2 select django_session
SELECT 1 AS "a" FROM "django_session" WHERE "django_session"."session_key" = 'session-key' LIMIT 1;
-- name: 3 insert django_session
INSERT INTO "django_session" ("session_key", "session_data", "expire_date") VALUES ('session-key', 'data', '2026-12-05 20:22:28.927206+00:00'::timestamptz);
-- name: 4 update auth_user
UPDATE "auth_user" SET "last_login" = '2026-11-21 20:22:28.935844+00:00'::timestamptz WHERE "auth_user"."id" = 1;
-- name: 5 update django_session
UPDATE "django_session" SET "session_data" = 'data', "expire_date" = '2026-12-05 20:22:28.947104+00:00'::timestamptz WHERE "django_session"."session_key" = 'session-key';
-- name: 6 select django_session
SELECT "django_session"."session_key", "django_session"."session_data", "django_session"."expire_date" FROM "django_session" WHERE ("django_session"."expire_date" > '2026-11-21 20:22:28.956516+00:00'::timestamptz AND "django_session"."session_key" = 'session-key') LIMIT 21;
-- name: 7 select auth_user
-- observe: masked first_name, last_name, email
-- block: masked first_name, last_name, email
SELECT "auth_user"."id", "auth_user"."password", "auth_user"."last_login", "auth_user"."is_superuser", "auth_user"."username", "auth_user"."first_name", "auth_user"."last_name", "auth_user"."email", "auth_user"."is_staff", "auth_user"."is_active", "auth_user"."date_joined" FROM "auth_user" WHERE "auth_user"."id" = 1 LIMIT 21;
-- name: 8 select django_admin_log auth_user django_content_type
SELECT "django_admin_log"."id", "django_admin_log"."action_time", "django_admin_log"."user_id", "django_admin_log"."content_type_id", "django_admin_log"."object_id", "django_admin_log"."object_repr", "django_admin_log"."action_flag", "django_admin_log"."change_message", "auth_user"."id", "auth_user"."password", "auth_user"."last_login", "auth_user"."is_superuser", "auth_user"."username", "auth_user"."first_name", "auth_user"."last_name", "auth_user"."email", "auth_user"."is_staff", "auth_user"."is_active", "auth_user"."date_joined", "django_content_type"."id", "django_content_type"."app_label", "django_content_type"."model" FROM "django_admin_log" INNER JOIN "auth_user" ON ("django_admin_log"."user_id" = "auth_user"."id") LEFT OUTER JOIN "django_content_type" ON ("django_admin_log"."content_type_id" = "django_content_type"."id") WHERE "django_admin_log"."user_id" = 1 ORDER BY "django_admin_log"."action_time" DESC LIMIT 10;
-- name: 9 select shop_customer
SELECT COUNT(*) AS "__count" FROM "shop_customer";
-- name: 10 select shop_customer
-- observe: masked name, email, phone
-- block: masked name, email, phone
SELECT "shop_customer"."id", "shop_customer"."name", "shop_customer"."email", "shop_customer"."phone", "shop_customer"."segment", "shop_customer"."joined" FROM "shop_customer" ORDER BY "shop_customer"."id" DESC;
-- name: 11 select shop_customer
SELECT DISTINCT "shop_customer"."segment" AS "segment" FROM "shop_customer" ORDER BY 1 ASC;
-- name: 12 select shop_customer
-- block: SP_MASKED_INFERENCE
SELECT COUNT(*) AS "__count" FROM "shop_customer" WHERE (UPPER("shop_customer"."name"::text) LIKE UPPER('%person1%') OR UPPER("shop_customer"."email"::text) LIKE UPPER('%person1%'));
-- name: 13 select shop_customer
-- observe: masked name, email, phone
-- block: SP_MASKED_INFERENCE
SELECT "shop_customer"."id", "shop_customer"."name", "shop_customer"."email", "shop_customer"."phone", "shop_customer"."segment", "shop_customer"."joined" FROM "shop_customer" WHERE (UPPER("shop_customer"."name"::text) LIKE UPPER('%person1%') OR UPPER("shop_customer"."email"::text) LIKE UPPER('%person1%')) ORDER BY "shop_customer"."id" DESC;
-- name: 14 select shop_customer
SELECT COUNT(*) AS "__count" FROM "shop_customer" WHERE "shop_customer"."segment" = 'home';
-- name: 15 select shop_customer
-- observe: masked name, email, phone
-- block: masked name, email, phone
SELECT "shop_customer"."id", "shop_customer"."name", "shop_customer"."email", "shop_customer"."phone", "shop_customer"."segment", "shop_customer"."joined" FROM "shop_customer" WHERE "shop_customer"."segment" = 'home' ORDER BY "shop_customer"."id" DESC;
-- name: 16 select shop_customer
-- observe: masked name, email, phone
-- block: SP_MASKED_INFERENCE
SELECT "shop_customer"."id", "shop_customer"."name", "shop_customer"."email", "shop_customer"."phone", "shop_customer"."segment", "shop_customer"."joined" FROM "shop_customer" ORDER BY "shop_customer"."email" ASC;
-- name: 17 select shop_customer
-- observe: masked name, email, phone
-- block: masked name, email, phone
SELECT "shop_customer"."id", "shop_customer"."name", "shop_customer"."email", "shop_customer"."phone", "shop_customer"."segment", "shop_customer"."joined" FROM "shop_customer" WHERE "shop_customer"."id" = 3 LIMIT 21;
-- name: 18 select django_content_type
SELECT "django_content_type"."id", "django_content_type"."app_label", "django_content_type"."model" FROM "django_content_type" WHERE ("django_content_type"."app_label" = 'shop' AND "django_content_type"."model" = 'customer') LIMIT 21;
-- name: 19 select shop_product
SELECT COUNT(*) AS "__count" FROM "shop_product";
-- name: 20 select shop_product
SELECT "shop_product"."id", "shop_product"."sku", "shop_product"."title", "shop_product"."price", "shop_product"."tags" FROM "shop_product" ORDER BY "shop_product"."id" DESC;
-- name: 21 select shop_product
SELECT COUNT(*) AS "__count" FROM "shop_product" WHERE UPPER("shop_product"."title"::text) LIKE UPPER('%lamp%');
-- name: 22 select shop_product
SELECT "shop_product"."id", "shop_product"."sku", "shop_product"."title", "shop_product"."price", "shop_product"."tags" FROM "shop_product" WHERE UPPER("shop_product"."title"::text) LIKE UPPER('%lamp%') ORDER BY "shop_product"."id" DESC;
-- name: 23 select shop_order
SELECT COUNT(*) AS "__count" FROM "shop_order";
-- name: 24 select shop_order shop_customer
-- observe: masked name, email, phone
-- block: masked name, email, phone
SELECT "shop_order"."id", "shop_order"."customer_id", "shop_order"."placed", "shop_order"."status", "shop_customer"."id", "shop_customer"."name", "shop_customer"."email", "shop_customer"."phone", "shop_customer"."segment", "shop_customer"."joined" FROM "shop_order" INNER JOIN "shop_customer" ON ("shop_order"."customer_id" = "shop_customer"."id") ORDER BY "shop_order"."id" DESC;
-- name: 25 select shop_order
SELECT MIN("shop_order"."placed") AS "first", MAX("shop_order"."placed") AS "last" FROM "shop_order";
-- name: 26 select shop_order
SELECT DISTINCT DATE_TRUNC('month', "shop_order"."placed" AT TIME ZONE 'America/Chicago') AS "datetimefield" FROM "shop_order" WHERE "shop_order"."placed" IS NOT NULL ORDER BY 1 ASC;
-- name: 27 select shop_order
SELECT DISTINCT "shop_order"."status" AS "status" FROM "shop_order" ORDER BY 1 ASC;
-- name: 28 select shop_order
SELECT COUNT(*) AS "__count" FROM "shop_order" WHERE "shop_order"."status" = 'paid';
-- name: 29 select shop_order shop_customer
-- observe: masked name, email, phone
-- block: masked name, email, phone
SELECT "shop_order"."id", "shop_order"."customer_id", "shop_order"."placed", "shop_order"."status", "shop_customer"."id", "shop_customer"."name", "shop_customer"."email", "shop_customer"."phone", "shop_customer"."segment", "shop_customer"."joined" FROM "shop_order" INNER JOIN "shop_customer" ON ("shop_order"."customer_id" = "shop_customer"."id") WHERE "shop_order"."status" = 'paid' ORDER BY "shop_order"."id" DESC;
-- name: 30 select shop_order
SELECT MIN("shop_order"."placed") AS "first", MAX("shop_order"."placed") AS "last" FROM "shop_order" WHERE "shop_order"."status" = 'paid';
-- name: 31 select shop_order
SELECT DISTINCT DATE_TRUNC('month', "shop_order"."placed" AT TIME ZONE 'America/Chicago') AS "datetimefield" FROM "shop_order" WHERE ("shop_order"."status" = 'paid' AND "shop_order"."placed" IS NOT NULL) ORDER BY 1 ASC;
-- name: 32 select shop_order
SELECT COUNT(*) AS "__count" FROM "shop_order" WHERE ("shop_order"."placed" >= '2025-01-01 00:00:00-06:00'::timestamptz AND "shop_order"."placed" < '2026-01-01 00:00:00-06:00'::timestamptz);
-- name: 33 select shop_order shop_customer
-- observe: masked name, email, phone
-- block: masked name, email, phone
SELECT "shop_order"."id", "shop_order"."customer_id", "shop_order"."placed", "shop_order"."status", "shop_customer"."id", "shop_customer"."name", "shop_customer"."email", "shop_customer"."phone", "shop_customer"."segment", "shop_customer"."joined" FROM "shop_order" INNER JOIN "shop_customer" ON ("shop_order"."customer_id" = "shop_customer"."id") WHERE ("shop_order"."placed" >= '2025-01-01 00:00:00-06:00'::timestamptz AND "shop_order"."placed" < '2026-01-01 00:00:00-06:00'::timestamptz) ORDER BY "shop_order"."id" DESC;
-- name: 34 select shop_order
SELECT DISTINCT DATE_TRUNC('month', "shop_order"."placed" AT TIME ZONE 'America/Chicago') AS "datetimefield" FROM "shop_order" WHERE ("shop_order"."placed" >= '2025-01-01 00:00:00-06:00'::timestamptz AND "shop_order"."placed" < '2026-01-01 00:00:00-06:00'::timestamptz AND "shop_order"."placed" IS NOT NULL) ORDER BY 1 ASC;
-- name: 35 select shop_order
SELECT "shop_order"."id", "shop_order"."customer_id", "shop_order"."placed", "shop_order"."status" FROM "shop_order" WHERE "shop_order"."id" = 4 LIMIT 21;
-- name: 36 select shop_line
SELECT "shop_line"."id", "shop_line"."order_id", "shop_line"."product_id", "shop_line"."quantity" FROM "shop_line" WHERE "shop_line"."order_id" = 4 ORDER BY "shop_line"."id" ASC;
-- name: 37 select auth_group
SELECT "auth_group"."id", "auth_group"."name" FROM "auth_group" ORDER BY "auth_group"."name" ASC;
-- name: 38 select auth_user
SELECT COUNT(*) AS "__count" FROM "auth_user";
-- name: 39 select auth_user
-- observe: masked first_name, last_name, email
-- block: masked first_name, last_name, email
SELECT "auth_user"."id", "auth_user"."password", "auth_user"."last_login", "auth_user"."is_superuser", "auth_user"."username", "auth_user"."first_name", "auth_user"."last_name", "auth_user"."email", "auth_user"."is_staff", "auth_user"."is_active", "auth_user"."date_joined" FROM "auth_user" ORDER BY "auth_user"."username" ASC;
-- name: 40 select auth_user
-- block: SP_MASKED_INFERENCE
SELECT COUNT(*) AS "__count" FROM "auth_user" WHERE (UPPER("auth_user"."username"::text) LIKE UPPER('%ben%') OR UPPER("auth_user"."first_name"::text) LIKE UPPER('%ben%') OR UPPER("auth_user"."last_name"::text) LIKE UPPER('%ben%') OR UPPER("auth_user"."email"::text) LIKE UPPER('%ben%'));
-- name: 41 select auth_user
-- observe: masked first_name, last_name, email
-- block: SP_MASKED_INFERENCE
SELECT "auth_user"."id", "auth_user"."password", "auth_user"."last_login", "auth_user"."is_superuser", "auth_user"."username", "auth_user"."first_name", "auth_user"."last_name", "auth_user"."email", "auth_user"."is_staff", "auth_user"."is_active", "auth_user"."date_joined" FROM "auth_user" WHERE (UPPER("auth_user"."username"::text) LIKE UPPER('%ben%') OR UPPER("auth_user"."first_name"::text) LIKE UPPER('%ben%') OR UPPER("auth_user"."last_name"::text) LIKE UPPER('%ben%') OR UPPER("auth_user"."email"::text) LIKE UPPER('%ben%')) ORDER BY "auth_user"."username" ASC;
-- name: 42 select auth_group auth_user_groups
SELECT "auth_group"."id", "auth_group"."name" FROM "auth_group" INNER JOIN "auth_user_groups" ON ("auth_group"."id" = "auth_user_groups"."group_id") WHERE "auth_user_groups"."user_id" = 2;
-- name: 43 select auth_permission auth_user_user_permissions django_content_type
SELECT "auth_permission"."id", "auth_permission"."name", "auth_permission"."content_type_id", "auth_permission"."codename" FROM "auth_permission" INNER JOIN "auth_user_user_permissions" ON ("auth_permission"."id" = "auth_user_user_permissions"."permission_id") INNER JOIN "django_content_type" ON ("auth_permission"."content_type_id" = "django_content_type"."id") WHERE "auth_user_user_permissions"."user_id" = 2 ORDER BY "django_content_type"."app_label" ASC, "django_content_type"."model" ASC, "auth_permission"."codename" ASC;
-- name: 44 select auth_group
SELECT COUNT(*) AS "__count" FROM "auth_group";
-- name: 45 select django_admin_log
SELECT COUNT(*) AS "__count" FROM "django_admin_log" WHERE ("django_admin_log"."content_type_id" = 9 AND "django_admin_log"."object_id" = '4');
-- name: 46 select shop_product
SELECT "shop_product"."id", "shop_product"."sku", "shop_product"."title", "shop_product"."price", "shop_product"."tags" FROM "shop_product" WHERE "shop_product"."id" = 5 LIMIT 21;
-- name: 47 select shop_line shop_product
SELECT "shop_line"."id", "shop_line"."order_id", "shop_line"."product_id", "shop_line"."quantity", "shop_product"."id", "shop_product"."sku", "shop_product"."title", "shop_product"."price", "shop_product"."tags" FROM "shop_line" INNER JOIN "shop_product" ON ("shop_line"."product_id" = "shop_product"."id") WHERE "shop_line"."product_id" IN (5);
-- name: 48 select shop_product
SELECT 1 AS "a" FROM "shop_product" WHERE ("shop_product"."sku" = 'SKU-4' AND NOT ("shop_product"."id" = 5)) LIMIT 1;
-- name: 49 update shop_product
UPDATE "shop_product" SET "sku" = 'SKU-4', "title" = 'lamp four', "price" = 17.00, "tags" = '["new"]'::jsonb WHERE "shop_product"."id" = 5;
-- name: 50 insert django_admin_log
INSERT INTO "django_admin_log" ("action_time", "user_id", "content_type_id", "object_id", "object_repr", "action_flag", "change_message") VALUES ('2026-11-21 20:22:31.499715+00:00'::timestamptz, 1, 8, '5', 'Product object (5)', 2, '[{"changed": {"fields": ["Title", "Tags"]}}]') RETURNING "django_admin_log"."id";
-- name: 51 select shop_product
SELECT 1 AS "a" FROM "shop_product" WHERE "shop_product"."sku" = 'SKU-99' LIMIT 1;
-- name: 52 select shop_customer
-- observe: masked name, email, phone
-- block: masked name, email, phone
SELECT "shop_customer"."id", "shop_customer"."name", "shop_customer"."email", "shop_customer"."phone", "shop_customer"."segment", "shop_customer"."joined" FROM "shop_customer" LIMIT 5;
-- name: 53 select shop_customer
SELECT "shop_customer"."id" AS "id", "shop_customer"."segment" AS "segment" FROM "shop_customer";
-- name: 54 select shop_customer
-- observe: masked name
-- block: masked name
SELECT "shop_customer"."id", "shop_customer"."name" FROM "shop_customer" LIMIT 3;
-- name: 55 select shop_customer shop_order
-- observe: masked name, email, phone
-- block: masked name, email, phone
SELECT "shop_customer"."id", "shop_customer"."name", "shop_customer"."email", "shop_customer"."phone", "shop_customer"."segment", "shop_customer"."joined", COUNT("shop_order"."id") AS "n" FROM "shop_customer" LEFT OUTER JOIN "shop_order" ON ("shop_customer"."id" = "shop_order"."customer_id") GROUP BY "shop_customer"."id" ORDER BY 7 DESC, "shop_customer"."id" ASC LIMIT 5;
-- name: 56 select shop_customer shop_order
SELECT "shop_customer"."id" AS "id", COUNT("shop_order"."id") AS "n" FROM "shop_customer" LEFT OUTER JOIN "shop_order" ON ("shop_customer"."id" = "shop_order"."customer_id") GROUP BY 1 ORDER BY 2 DESC, 1 ASC LIMIT 5;
-- name: 57 select shop_customer
SELECT "shop_customer"."segment" AS "segment", COUNT("shop_customer"."id") AS "n", MIN("shop_customer"."joined") AS "first" FROM "shop_customer" GROUP BY 1 ORDER BY 1 ASC;
-- name: 58 select shop_order shop_customer
-- observe: masked name, email, phone
-- block: masked name, email, phone
SELECT "shop_order"."id", "shop_order"."customer_id", "shop_order"."placed", "shop_order"."status", "shop_customer"."id", "shop_customer"."name", "shop_customer"."email", "shop_customer"."phone", "shop_customer"."segment", "shop_customer"."joined" FROM "shop_order" INNER JOIN "shop_customer" ON ("shop_order"."customer_id" = "shop_customer"."id") WHERE "shop_order"."status" = 'open' LIMIT 4;
-- name: 59 select shop_order
SELECT "shop_order"."id", "shop_order"."customer_id", "shop_order"."placed", "shop_order"."status" FROM "shop_order" WHERE "shop_order"."id" < 6;
-- name: 60 select shop_line
SELECT "shop_line"."id", "shop_line"."order_id", "shop_line"."product_id", "shop_line"."quantity" FROM "shop_line" WHERE "shop_line"."order_id" IN (1, 2, 3, 4, 5);
-- name: 61 select shop_product
SELECT "shop_product"."id", "shop_product"."sku", "shop_product"."title", "shop_product"."price", "shop_product"."tags" FROM "shop_product" WHERE ("shop_product"."id") IN ((1), (2), (7), (3), (8), (13), (4), (5), (10));
-- name: 62 select shop_order shop_line shop_product
SELECT "shop_order"."id" AS "id", SUM(("shop_line"."quantity" * "shop_product"."price")) AS "total" FROM "shop_order" LEFT OUTER JOIN "shop_line" ON ("shop_order"."id" = "shop_line"."order_id") LEFT OUTER JOIN "shop_product" ON ("shop_line"."product_id" = "shop_product"."id") GROUP BY 1 ORDER BY 2 DESC, 1 ASC LIMIT 6;
-- name: 63 select shop_order shop_customer
SELECT "shop_order"."status" AS "status", COUNT("shop_order"."id") AS "n" FROM "shop_order" INNER JOIN "shop_customer" ON ("shop_order"."customer_id" = "shop_customer"."id") WHERE "shop_customer"."segment" = 'home' GROUP BY 1 ORDER BY 1 ASC;
-- name: 64 select shop_order
SELECT DATE_TRUNC('month', "shop_order"."placed" AT TIME ZONE 'America/Chicago') AS "m", COUNT("shop_order"."id") AS "n" FROM "shop_order" GROUP BY 1 ORDER BY 1 ASC;
-- name: 65 select shop_product
SELECT "shop_product"."id", "shop_product"."sku", "shop_product"."title", "shop_product"."price", "shop_product"."tags" FROM "shop_product" WHERE "shop_product"."tags" @> '["sale"]'::jsonb LIMIT 3;
-- name: 66 select shop_product
SELECT "shop_product"."id", "shop_product"."sku", "shop_product"."title", "shop_product"."price", "shop_product"."tags" FROM "shop_product" WHERE UPPER("shop_product"."title"::text) LIKE UPPER('%desk%') ORDER BY "shop_product"."price" ASC;
-- name: 67 select shop_product
SELECT "shop_product"."sku" AS "sku", RANK() OVER (ORDER BY "shop_product"."price" DESC) AS "rank" FROM "shop_product" LIMIT 4;
-- name: 68 select shop_product shop_line
SELECT "shop_product"."sku" AS "sku" FROM "shop_product" WHERE EXISTS(SELECT 1 AS "a" FROM "shop_line" U0 WHERE (U0."product_id" = ("shop_product"."id") AND U0."quantity" > 3) LIMIT 1);
-- name: 69 select shop_customer shop_order
SELECT DISTINCT "shop_customer"."id" AS "id" FROM "shop_customer" INNER JOIN "shop_order" ON ("shop_customer"."id" = "shop_order"."customer_id") WHERE ("shop_order"."status" = 'sent' AND "shop_customer"."segment" = 'office') ORDER BY 1 ASC;
-- name: 70 select shop_customer
-- observe: masked name, email, phone
-- block: SP_MASKED_INFERENCE
SELECT "shop_customer"."id", "shop_customer"."name", "shop_customer"."email", "shop_customer"."phone", "shop_customer"."segment", "shop_customer"."joined" FROM "shop_customer" WHERE "shop_customer"."email" = 'person3@mail.example' LIMIT 21;
-- name: 71 select shop_customer
-- block: SP_MASKED_INFERENCE
SELECT COUNT(*) AS "__count" FROM "shop_customer" WHERE "shop_customer"."name"::text LIKE 'Person 1%';
-- name: 72 select shop_customer
SELECT MAX("shop_customer"."joined") AS "joined__max", COUNT("shop_customer"."id") AS "id__count" FROM "shop_customer";
-- name: 73 select shop_customer
-- block: SP_MASKED_INFERENCE
SELECT 1 AS "a" FROM "shop_customer" WHERE NOT ("shop_customer"."email"::text LIKE '%.test') LIMIT 1;
-- name: 74 update shop_order
UPDATE "shop_order" SET "customer_id" = 3, "placed" = '2025-01-15 00:00:00+00:00'::timestamptz, "status" = 'sent' WHERE "shop_order"."id" = 7;
-- name: 75 update shop_order
UPDATE "shop_order" SET "status" = 'paid' WHERE ("shop_order"."id" > 80 AND "shop_order"."status" = 'open');
-- name: 76 insert shop_customer
-- block: SP_MASKED_INFERENCE
INSERT INTO "shop_customer" ("name", "email", "phone", "segment", "joined") VALUES ('New', 'new@mail.example', '1', 'home', '2025-05-05'::date) RETURNING "shop_customer"."id";
-- name: 77 update shop_customer
UPDATE "shop_customer" SET "phone" = '2' WHERE "shop_customer"."id" = 41;
-- name: 78 insert shop_order
INSERT INTO "shop_order" ("customer_id", "placed", "status") VALUES (41, '2026-11-21 20:22:31.705312+00:00'::timestamptz, 'open') RETURNING "shop_order"."id";
-- name: 79 insert shop_line
INSERT INTO "shop_line" ("order_id", "product_id", "quantity") SELECT * FROM UNNEST(('{7,7}'::int2[])::bigint[], ('{1,2}'::int2[])::bigint[], ('{1,2}'::int4[])::integer[]) RETURNING "shop_line"."id";
-- name: 80 update shop_product
UPDATE "shop_product" SET "price" = (CASE WHEN ("shop_product"."id" = 1) THEN 4 WHEN ("shop_product"."id" = 2) THEN 5 ELSE NULL END)::numeric(9, 2) WHERE "shop_product"."id" IN (1, 2);
-- name: 81 select shop_order
SELECT "shop_order"."id", "shop_order"."customer_id", "shop_order"."placed", "shop_order"."status" FROM "shop_order" WHERE "shop_order"."customer_id" = 41;
-- name: 82 delete shop_line
DELETE FROM "shop_line" WHERE "shop_line"."order_id" IN (91);
-- name: 83 delete shop_order
DELETE FROM "shop_order" WHERE "shop_order"."id" IN (91);
-- name: 84 select shop_order
SELECT "shop_order"."id" FROM "shop_order" WHERE "shop_order"."customer_id" IN (41);
-- name: 85 delete shop_customer
DELETE FROM "shop_customer" WHERE "shop_customer"."id" IN (41);
-- name: 86 select 
select id, status from shop_order order by id limit 3;
-- name: 87 (select shop_order shop_line
(SELECT "shop_order"."id" AS "id" FROM "shop_order") UNION (SELECT "shop_line"."id" AS "id" FROM "shop_line") ORDER BY 1 ASC LIMIT 4;
-- name: 88 select django_session
SELECT "django_session"."session_key", "django_session"."session_data", "django_session"."expire_date" FROM "django_session" WHERE "django_session"."session_key" = 'session-key' LIMIT 21;
-- name: 89 delete django_session
DELETE FROM "django_session" WHERE "django_session"."session_key" IN ('session-key');
