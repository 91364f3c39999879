"""Clients from PyPI: what each prints when its first connection fails, bare and through loggers.

`clients.py` lists them, `clients.py NAME` runs one against HOST and PORT; `record.py` calls it.
"""
import asyncio
import logging
import os
import sys

TLS = os.environ.get("TLS") == "1"
HOST, PORT = os.environ.get("HOST", ""), int(os.environ.get("PORT", "0"))
HTTP = f"http{'s' if TLS else ''}://{HOST}:{PORT}"
USER, PASSWORD, DATABASE = "app", "wrong-one", "shop"
CLIENTS = {}


def client(port, packages, name=None):
    def keep(run):
        CLIENTS[name or run.__name__.replace("_", "-")] = (port, packages, run)
        return run
    return keep


@client(6379, "redis")
def redis():
    import redis
    redis.Redis(HOST, PORT, password=PASSWORD, ssl=TLS, socket_connect_timeout=5, socket_timeout=3).get("cart")


@client(6379, "redis", "redis-asyncio")
def redis_asyncio():
    import redis.asyncio as redis
    asyncio.run(redis.Redis(host=HOST, port=PORT, password=PASSWORD, socket_connect_timeout=5, socket_timeout=3).get("cart"))


@client(26379, "redis", "redis-sentinel")
def redis_sentinel():
    from redis.sentinel import Sentinel
    Sentinel([(HOST, PORT)], socket_timeout=3).master_for("mymaster").get("cart")


@client(6379, "redis", "redis-cluster")
def redis_cluster():
    from redis.cluster import RedisCluster
    RedisCluster(host=HOST, port=PORT, socket_timeout=3)


@client(6379, "rq")
def rq():
    from redis import Redis
    from rq import Queue, Worker
    Worker([Queue(connection=Redis(HOST, PORT, password=PASSWORD, socket_timeout=3))],
           connection=Redis(HOST, PORT, password=PASSWORD, socket_timeout=3)).work(burst=True)


@client(5432, "psycopg2-binary", "psycopg2")
def psycopg2():
    import psycopg2
    psycopg2.connect(host=HOST, port=PORT, user=USER, password=PASSWORD, dbname=DATABASE, connect_timeout=5,
                     sslmode="verify-full" if TLS else "prefer", sslrootcert="/etc/ssl/certs/ca-certificates.crt")


@client(5432, "psycopg", "psycopg3")
def psycopg3():
    import psycopg
    psycopg.connect(host=HOST, port=PORT, user=USER, password=PASSWORD, dbname=DATABASE, connect_timeout=5)


@client(5432, "psycopg psycopg-pool", "psycopg-pool")
def psycopg_pool():
    from psycopg_pool import ConnectionPool
    ConnectionPool(f"host={HOST} port={PORT} user={USER} password={PASSWORD} connect_timeout=3", timeout=4, open=True).wait(4)


@client(5432, "asyncpg")
def asyncpg():
    import asyncpg
    asyncio.run(asyncpg.connect(host=HOST, port=PORT, user=USER, password=PASSWORD, database=DATABASE,
                                ssl=True if TLS else None, timeout=5))


@client(5432, "pg8000")
def pg8000():
    import pg8000
    pg8000.connect(host=HOST, port=PORT, user=USER, password=PASSWORD, database=DATABASE, timeout=5,
                   ssl_context=True if TLS else None)


@client(3306, "PyMySQL")
def pymysql():
    import pymysql
    pymysql.connect(host=HOST, port=PORT, user=USER, password=PASSWORD, database=DATABASE, connect_timeout=5)


@client(3306, "mysql-connector-python")
def mysql_connector():
    import mysql.connector
    mysql.connector.connect(host=HOST, port=PORT, user=USER, password=PASSWORD, database=DATABASE, connection_timeout=5)


@client(3306, "mysql-connector-python", "mysql-connector-pure")
def mysql_connector_pure():
    import mysql.connector
    mysql.connector.connect(host=HOST, port=PORT, user=USER, password=PASSWORD, use_pure=True, connection_timeout=5)


@client(3306, "aiomysql")
def aiomysql():
    import aiomysql
    asyncio.run(aiomysql.connect(host=HOST, port=PORT, user=USER, password=PASSWORD, db=DATABASE, connect_timeout=5))


@client(27017, "pymongo")
def pymongo():
    import pymongo
    pymongo.MongoClient(HOST, PORT, serverSelectionTimeoutMS=3000, connectTimeoutMS=2000, tls=TLS).shop.carts.find_one()


@client(9042, "cassandra-driver")
def cassandra():
    from cassandra.cluster import Cluster
    Cluster([HOST], port=PORT, connect_timeout=3).connect()


@client(7687, "neo4j")
def neo4j():
    from neo4j import GraphDatabase
    with GraphDatabase.driver(f"bolt{'+s' if TLS else ''}://{HOST}:{PORT}", auth=(USER, PASSWORD), connection_timeout=3) as d:
        d.verify_connectivity()


@client(1433, "pymssql")
def pymssql():
    import pymssql
    pymssql.connect(server=HOST, port=str(PORT), user=USER, password=PASSWORD, login_timeout=4)


@client(1521, "oracledb")
def oracledb():
    import oracledb
    oracledb.connect(user=USER, password=PASSWORD, dsn=f"{HOST}:{PORT}/shop", tcp_connect_timeout=3, retry_count=0)


@client(8123, "clickhouse-connect")
def clickhouse_connect():
    import clickhouse_connect
    clickhouse_connect.get_client(host=HOST, port=PORT, username=USER, password=PASSWORD, secure=TLS, connect_timeout=4)


@client(9000, "clickhouse-driver")
def clickhouse_driver():
    from clickhouse_driver import Client
    Client(HOST, PORT, password=PASSWORD, secure=TLS, connect_timeout=3, send_receive_timeout=3).execute("select 1")


@client(8086, "influxdb-client")
def influxdb():
    from influxdb_client import InfluxDBClient
    from influxdb_client.client.write_api import SYNCHRONOUS
    api = InfluxDBClient(HTTP, PASSWORD, org="shop", timeout=4000).write_api(write_options=SYNCHRONOUS)
    api.write("metrics", record="orders n=1")


@client(11211, "pymemcache")
def pymemcache():
    from pymemcache.client.base import Client
    Client((HOST, PORT), connect_timeout=4, timeout=3).get("cart")


@client(11211, "python-memcached")
def python_memcached():
    import memcache
    if not memcache.Client([f"{HOST}:{PORT}"], debug=1, socket_timeout=4).set("cart", "1"):
        raise SystemExit("memcache: nothing stored")


@client(9092, "kafka-python")
def kafka_python():
    from kafka import KafkaProducer
    KafkaProducer(bootstrap_servers=f"{HOST}:{PORT}", bootstrap_timeout_ms=3000, security_protocol="SSL" if TLS else "PLAINTEXT")


@client(9092, "confluent-kafka")
def confluent_kafka():
    from confluent_kafka import Producer
    p = Producer({"bootstrap.servers": f"{HOST}:{PORT}", "socket.timeout.ms": 3000, "security.protocol": "ssl" if TLS else "plaintext"})
    p.list_topics(timeout=4)


@client(9092, "aiokafka")
def aiokafka():
    from aiokafka import AIOKafkaProducer

    async def run():
        producer = AIOKafkaProducer(bootstrap_servers=f"{HOST}:{PORT}", request_timeout_ms=3000)
        try:
            await producer.start()
        finally:
            await producer.stop()
    asyncio.run(run())


@client(5672, "pika")
def pika():
    import pika
    pika.BlockingConnection(pika.ConnectionParameters(HOST, PORT, credentials=pika.PlainCredentials(USER, PASSWORD),
                            socket_timeout=3, stack_timeout=5, connection_attempts=1))


@client(5672, "aio-pika")
def aio_pika():
    import aio_pika
    asyncio.run(aio_pika.connect(f"amqp{'s' if TLS else ''}://{USER}:{PASSWORD}@{HOST}:{PORT}/", timeout=5))


@client(5672, "kombu")
def kombu():
    import kombu
    with kombu.Connection(f"amqp://{USER}:{PASSWORD}@{HOST}:{PORT}//", connect_timeout=4) as connection:
        connection.ensure_connection(max_retries=1, interval_start=0.1)


@client(5672, "celery", "celery-worker")
def celery_worker():
    import celery
    app = celery.Celery("shop", broker=f"amqp://{USER}:{PASSWORD}@{HOST}:{PORT}//")
    app.conf.broker_connection_max_retries = 1
    app.conf.broker_connection_timeout = 3
    app.worker_main(["worker", "--pool=solo", "--loglevel=INFO", "--without-gossip", "--without-mingle"])


@client(6379, "celery", "celery-redis")
def celery_redis():
    import celery
    app = celery.Celery("shop", broker=f"redis://:{PASSWORD}@{HOST}:{PORT}/0")
    app.conf.task_publish_retry = False
    app.conf.broker_transport_options = {"socket_timeout": 3, "socket_connect_timeout": 5}
    app.send_task("mail.welcome")


@client(4222, "nats-py")
def nats_py():
    import nats
    asyncio.run(nats.connect(f"nats://{HOST}:{PORT}", user=USER, password=PASSWORD, connect_timeout=3,
                             max_reconnect_attempts=1, reconnect_time_wait=0.1, allow_reconnect=False))


@client(1883, "paho-mqtt")
def paho_mqtt():
    import paho.mqtt.client as mqtt
    c = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2)
    c.username_pw_set(USER, PASSWORD)
    if TLS:
        c.tls_set()
    c.enable_logger()
    refused = []
    c.on_connect = lambda client, data, flags, reason, properties: refused.append(reason)
    c.connect_timeout = 4
    c.connect(HOST, PORT)
    for _ in range(20):
        c.loop(0.1)
    raise RuntimeError(f"MQTT session not open: {refused[0] if refused else 'nothing heard'}")


@client(61613, "stomp.py")
def stomp_py():
    import stomp
    c = stomp.Connection([(HOST, PORT)], timeout=3, reconnect_attempts_max=1)
    c.connect(USER, PASSWORD, wait=True)


@client(8080, "requests")
def requests():
    import requests
    requests.get(f"{HTTP}/orders", timeout=4, auth=(USER, PASSWORD)).raise_for_status()


@client(8080, "httpx")
def httpx():
    import httpx
    httpx.get(f"{HTTP}/orders", timeout=4, auth=(USER, PASSWORD)).raise_for_status()


@client(8080, "aiohttp")
def aiohttp():
    import aiohttp

    async def run():
        async with aiohttp.ClientSession(raise_for_status=True, timeout=aiohttp.ClientTimeout(4)) as s:
            await s.get(f"{HTTP}/orders")
    asyncio.run(run())


@client(8080, "urllib3")
def urllib3():
    import urllib3
    answer = urllib3.PoolManager(retries=1, timeout=4).request("GET", f"{HTTP}/orders")
    if answer.status >= 400:
        raise RuntimeError(f"orders answered {answer.status}")


@client(8080, "", "urllib")
def urllib_request():
    import urllib.request
    urllib.request.urlopen(f"{HTTP}/orders", timeout=4)


@client(8080, "websocket-client")
def websocket_client():
    import websocket
    websocket.create_connection(f"ws{'s' if TLS else ''}://{HOST}:{PORT}/live", timeout=4)


@client(8080, "websockets")
def websockets():
    from websockets.sync.client import connect
    connect(f"ws{'s' if TLS else ''}://{HOST}:{PORT}/live", open_timeout=4)


@client(50051, "grpcio")
def grpcio():
    import grpc
    channel = grpc.secure_channel(f"{HOST}:{PORT}", grpc.ssl_channel_credentials()) if TLS else grpc.insecure_channel(f"{HOST}:{PORT}")
    channel.unary_unary("/shop.Stock/Check")(b"", timeout=5)


@client(50051, "grpcio", "grpcio-aio")
def grpcio_aio():
    import grpc

    async def run():
        async with grpc.aio.insecure_channel(f"{HOST}:{PORT}") as channel:
            await channel.unary_unary("/shop.Stock/Check")(b"", timeout=5)
    asyncio.run(run())


@client(9000, "boto3")
def boto3():
    import boto3
    from botocore.config import Config
    boto3.client("s3", endpoint_url=HTTP, aws_access_key_id=USER, aws_secret_access_key=PASSWORD, region_name="eu-west-1",
                 config=Config(connect_timeout=3, read_timeout=3, retries={"max_attempts": 1})).list_buckets()


@client(9000, "minio")
def minio():
    import minio
    import urllib3
    minio.Minio(f"{HOST}:{PORT}", USER, PASSWORD, secure=TLS,
                http_client=urllib3.PoolManager(retries=1, timeout=3)).list_buckets()


@client(4443, "google-cloud-storage")
def google_cloud_storage():
    from google.auth.credentials import AnonymousCredentials
    from google.cloud import storage
    c = storage.Client(project="shop", credentials=AnonymousCredentials(), client_options={"api_endpoint": HTTP})
    list(c.list_buckets(timeout=3, retry=None))


@client(10000, "azure-storage-blob")
def azure_storage_blob():
    from azure.storage.blob import BlobServiceClient
    BlobServiceClient(f"{HTTP}/{USER}", {"account_name": USER, "account_key": "d3Jvbmctb25l"}, retry_total=0,
                      connection_timeout=4).get_service_properties()


@client(9200, "elasticsearch")
def elasticsearch():
    import elasticsearch
    elasticsearch.Elasticsearch(HTTP, basic_auth=(USER, PASSWORD), request_timeout=4, max_retries=1).info()


@client(9200, "opensearch-py")
def opensearch():
    import opensearchpy
    opensearchpy.OpenSearch(HTTP, http_auth=(USER, PASSWORD), timeout=4, max_retries=1).info()


@client(8200, "hvac")
def hvac():
    import hvac
    hvac.Client(HTTP, PASSWORD, timeout=4).secrets.kv.read_secret("shop", raise_on_deleted_version=True)


@client(8500, "python-consul2")
def python_consul():
    import consul
    consul.Consul(HOST, PORT, scheme="https" if TLS else "http", timeout=4).kv.get("shop/flags")


@client(2379, "etcd3gw")
def etcd3gw():
    import etcd3gw
    etcd3gw.client(HOST, PORT, protocol="https" if TLS else "http", timeout=4).get("shop/flags")


@client(389, "ldap3")
def ldap3():
    import ldap3
    c = ldap3.Connection(ldap3.Server(HOST, PORT, use_ssl=TLS, connect_timeout=4, get_info=None), "cn=app", PASSWORD,
                         receive_timeout=3, raise_exceptions=True)
    c.bind()


@client(2181, "kazoo")
def kazoo():
    from kazoo.client import KazooClient
    KazooClient(f"{HOST}:{PORT}", timeout=3).start(timeout=4)


@client(6650, "pulsar-client")
def pulsar():
    import pulsar
    pulsar.Client(f"pulsar://{HOST}:{PORT}", operation_timeout_seconds=4, connection_timeout_ms=3000).create_producer("orders")


@client(587, "", "smtplib")
def smtplib():
    import smtplib
    smtp = smtplib.SMTP_SSL if TLS else smtplib.SMTP
    smtp(HOST, PORT, timeout=4).login(USER, PASSWORD)


@client(5432, "SQLAlchemy psycopg2-binary", "sqlalchemy-psycopg2")
def sqlalchemy_psycopg2():
    import sqlalchemy as sa
    sa.create_engine(f"postgresql://{USER}:{PASSWORD}@{HOST}:{PORT}/shop", connect_args={"connect_timeout": 5}).connect()


@client(5432, "SQLAlchemy asyncpg", "sqlalchemy-asyncpg")
def sqlalchemy_asyncpg():
    from sqlalchemy.ext.asyncio import create_async_engine

    async def run():
        async with create_async_engine(f"postgresql+asyncpg://{USER}:{PASSWORD}@{HOST}:{PORT}/shop", connect_args={"timeout": 5}).connect():
            pass
    asyncio.run(run())


@client(3306, "SQLAlchemy PyMySQL", "sqlalchemy-pymysql")
def sqlalchemy_pymysql():
    import sqlalchemy as sa
    sa.create_engine(f"mysql+pymysql://{USER}:{PASSWORD}@{HOST}:{PORT}/shop", connect_args={"connect_timeout": 5}).connect()


@client(5432, "alembic", "alembic-upgrade")
def alembic():
    import alembic.command
    import alembic.config
    import tempfile
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        os.chdir(folder)
        config = alembic.config.Config("alembic.ini")
        config.set_main_option("script_location", "migrations")
        alembic.command.init(config, "migrations")
        config = alembic.config.Config("alembic.ini")
        config.set_main_option("sqlalchemy.url", f"postgresql://{USER}:{PASSWORD}@{HOST}:{PORT}/shop?connect_timeout=5")
        alembic.command.upgrade(config, "head")


@client(5432, "Django", "django-migrate")
def django():
    import django
    from django.conf import settings
    from django.core.management import call_command
    settings.configure(DATABASES={"default": {"ENGINE": "django.db.backends.postgresql", "HOST": HOST, "PORT": PORT,
                       "USER": USER, "PASSWORD": PASSWORD, "NAME": DATABASE, "OPTIONS": {"connect_timeout": 5}}},
                       INSTALLED_APPS=["django.contrib.contenttypes"])
    django.setup()
    call_command("migrate")


@client(3306, "peewee PyMySQL", "peewee")
def peewee():
    import peewee
    peewee.MySQLDatabase(DATABASE, host=HOST, port=PORT, user=USER, password=PASSWORD, connect_timeout=5).connect()


@client(5432, "tortoise-orm", "tortoise")
def tortoise():
    from tortoise import Tortoise

    async def run():
        await Tortoise.init(db_url=f"asyncpg://{USER}:{PASSWORD}@{HOST}:{PORT}/shop?timeout=5", modules={"models": ["__main__"]})
        await Tortoise.get_connection("default").execute_query("select 1")
    asyncio.run(run())


@client(5432, "yoyo-migrations", "yoyo")
def yoyo():
    import yoyo
    yoyo.get_backend(f"postgresql://{USER}:{PASSWORD}@{HOST}:{PORT}/shop?connect_timeout=5")


def section(name):
    sys.stderr.flush()
    sys.stdout.flush()
    os.write(1, f"\x1e{name}\n".encode())


def main():
    if len(sys.argv) < 2:
        for name, (port, packages, _) in CLIENTS.items():
            print(name, port, packages, sep="\t")
        return
    logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s: %(message)s", level=logging.INFO)
    try:
        CLIENTS[sys.argv[1]][2]()
        section("came up")
        return
    except Exception as e:  # noqa: BLE001  whatever it says is what we came for
        error = e
    told(error)
    section("uncaught")
    raise error


def told(error):
    info = (type(error), error, error.__traceback__)
    section("message")
    logging.error("start failed: %s", error)
    section("structlog")
    import structlog
    structlog.configure(processors=[structlog.processors.add_log_level, structlog.processors.TimeStamper(fmt="iso"),
                        structlog.processors.format_exc_info, structlog.processors.JSONRenderer()])
    structlog.get_logger().error("start failed", exc_info=info)
    section("structlog-message")
    structlog.get_logger().error("start failed", error=str(error))
    section("python-json-logger")
    from pythonjsonlogger.json import JsonFormatter
    handler = logging.StreamHandler()
    handler.setFormatter(JsonFormatter("%(asctime)s %(levelname)s %(name)s %(message)s"))
    logger = logging.getLogger("shop")
    logger.addHandler(handler)
    logger.propagate = False
    logger.error("start failed", exc_info=info)


if __name__ == "__main__":
    main()
