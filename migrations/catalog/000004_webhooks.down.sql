drop table webhook_deliveries, webhook_endpoints;
