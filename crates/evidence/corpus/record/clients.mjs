// Clients from npm: what each prints when its first connection fails, bare and through loggers.
// `clients.mjs` lists them, `clients.mjs NAME` runs one against HOST and PORT; `record.py` calls it.
import { writeSync } from 'node:fs';

const section = (name) => writeSync(1, `\x1e${name}\n`);
const once = (emitter, good, bad = 'error') =>
  new Promise((yes, no) => { emitter.once(good, yes); emitter.once(bad, no); });
const sleep = (ms) => new Promise((yes) => setTimeout(yes, ms));
const get = async (name) => { const m = await import(name); return m.default ?? m; };
// Credentials of an ordinary application; only the login server reads them.
const user = 'app', password = 'wrong-one', database = 'shop';

// name: [port, packages, run]
const clients = {
  ioredis: [6379, 'ioredis', async (c) => {
    const Redis = await get('ioredis');
    const redis = new Redis({ host: c.host, port: c.port, password, tls: c.tls ? {} : undefined,
      connectTimeout: 3000, maxRetriesPerRequest: 1, retryStrategy: (n) => (n > 2 ? null : 50) });
    await redis.get('cart');
  }],
  'ioredis-cluster': [6379, 'ioredis', async (c) => {
    const Redis = await get('ioredis');
    const cluster = new Redis.Cluster([{ host: c.host, port: c.port }], {
      clusterRetryStrategy: (n) => (n > 1 ? null : 50), redisOptions: { password, connectTimeout: 3000 } });
    await cluster.get('cart');
  }],
  'ioredis-sentinel': [26379, 'ioredis', async (c) => {
    const Redis = await get('ioredis');
    const redis = new Redis({ sentinels: [{ host: c.host, port: c.port }], name: 'mymaster',
      sentinelRetryStrategy: (n) => (n > 1 ? null : 50), connectTimeout: 3000 });
    await redis.get('cart');
  }],
  redis: [6379, 'redis', async (c) => {
    const { createClient } = await import('redis');
    const url = `redis${c.tls ? 's' : ''}://:${password}@${c.host}:${c.port}`;
    const client = createClient({ url, socket: { reconnectStrategy: false, connectTimeout: 3000 } });
    client.on('error', (e) => console.error('Redis Client Error', e));
    await client.connect();
  }],
  bullmq: [6379, 'bullmq', async (c) => {
    const { Queue } = await import('bullmq');
    const queue = new Queue('mail', { connection: { host: c.host, port: c.port, password,
      connectTimeout: 3000, retryStrategy: (n) => (n > 1 ? null : 50) } });
    await queue.add('welcome', {});
  }],
  pg: [5432, 'pg', async (c) => {
    const { Client } = await get('pg');
    const client = new Client({ host: c.host, port: c.port, user, password, database,
      ssl: c.tls ? true : undefined, connectionTimeoutMillis: 5000 });
    await client.connect();
  }],
  'pg-pool': [5432, 'pg', async (c) => {
    const { Pool } = await get('pg');
    const pool = new Pool({ host: c.host, port: c.port, user, password, database, ssl: c.tls || undefined });
    await pool.query('select 1');
  }],
  postgres: [5432, 'postgres', async (c) => {
    const postgres = await get('postgres');
    const sql = postgres({ host: c.host, port: c.port, user, password, database,
      ssl: c.tls ? 'verify-full' : false, connect_timeout: 3 });
    await sql`select 1`;
  }],
  mysql: [3306, 'mysql', async (c) => {
    const mysql = await get('mysql');
    const connection = mysql.createConnection({ host: c.host, port: c.port, user, password, database,
      connectTimeout: 3000 });
    await new Promise((yes, no) => connection.connect((e) => (e ? no(e) : yes())));
  }],
  mysql2: [3306, 'mysql2', async (c) => {
    const mysql = await import('mysql2/promise');
    await mysql.createConnection({ host: c.host, port: c.port, user, password, database, connectTimeout: 3000 });
  }],
  'mysql2-pool': [3306, 'mysql2', async (c) => {
    const mysql = await import('mysql2/promise');
    const pool = mysql.createPool({ host: c.host, port: c.port, user, password, database });
    await pool.query('select 1');
  }],
  mariadb: [3306, 'mariadb', async (c) => {
    const mariadb = await get('mariadb');
    await mariadb.createConnection({ host: c.host, port: c.port, user, password, database, connectTimeout: 3000 });
  }],
  'mariadb-pool': [3306, 'mariadb', async (c) => {
    const mariadb = await get('mariadb');
    const pool = mariadb.createPool({ host: c.host, port: c.port, user, password, database,
      acquireTimeout: 4000, initializationTimeout: 3000, connectTimeout: 2500 });
    await pool.query('select 1');
  }],
  mongodb: [27017, 'mongodb', async (c) => {
    const { MongoClient } = await import('mongodb');
    const client = new MongoClient(`mongodb://${c.host}:${c.port}/shop`,
      { serverSelectionTimeoutMS: 3000, connectTimeoutMS: 2000, tls: c.tls });
    await client.connect();
  }],
  mongoose: [27017, 'mongoose', async (c) => {
    const mongoose = await get('mongoose');
    await mongoose.connect(`mongodb://${c.host}:${c.port}/shop`,
      { serverSelectionTimeoutMS: 3000, connectTimeoutMS: 2000, tls: c.tls });
  }],
  'mongodb-srv-less-replica-set': [27017, 'mongodb', async (c) => {
    const { MongoClient } = await import('mongodb');
    const client = new MongoClient(`mongodb://${c.host}:${c.port},${c.host}:27018/shop?replicaSet=rs0`,
      { serverSelectionTimeoutMS: 3000, connectTimeoutMS: 2000, tls: c.tls });
    await client.db().collection('carts').findOne({});
  }],
  'cassandra-driver': [9042, 'cassandra-driver', async (c) => {
    const cassandra = await get('cassandra-driver');
    const client = new cassandra.Client({ contactPoints: [`${c.host}:${c.port}`], localDataCenter: 'dc1',
      socketOptions: { connectTimeout: 3000 } });
    await client.connect();
  }],
  'neo4j-driver': [7687, 'neo4j-driver', async (c) => {
    const neo4j = await get('neo4j-driver');
    const driver = neo4j.driver(`bolt${c.tls ? '+s' : ''}://${c.host}:${c.port}`,
      neo4j.auth.basic(user, password), { connectionTimeout: 3000 });
    await driver.verifyConnectivity();
  }],
  tedious: [1433, 'tedious', async (c) => {
    const { Connection } = await import('tedious');
    const connection = new Connection({ server: c.host, authentication: { type: 'default',
      options: { userName: user, password } }, options: { port: c.port, connectTimeout: 3000 } });
    await new Promise((yes, no) => connection.connect((e) => (e ? no(e) : yes())));
  }],
  clickhouse: [8123, '@clickhouse/client', async (c) => {
    const { createClient } = await import('@clickhouse/client');
    const client = createClient({ url: `http${c.tls ? 's' : ''}://${c.host}:${c.port}`, password,
      request_timeout: 3000 });
    await (await client.query({ query: 'select 1' })).json();
  }],
  influxdb: [8086, '@influxdata/influxdb-client', async (c) => {
    const { InfluxDB, Point } = await import('@influxdata/influxdb-client');
    const api = new InfluxDB({ url: `http${c.tls ? 's' : ''}://${c.host}:${c.port}`, token: password, timeout: 3000 })
      .getWriteApi('shop', 'metrics', 's', { maxRetries: 1, minRetryDelay: 100 });
    api.writePoint(new Point('orders').intField('n', 1));
    await api.close();
  }],
  memjs: [11211, 'memjs', async (c) => {
    const memjs = await get('memjs');
    const client = memjs.Client.create(`${c.host}:${c.port}`, { timeout: 3, conntimeout: 3, retries: 1 });
    await client.get('cart');
  }],
  kafkajs: [9092, 'kafkajs', async (c) => {
    const { Kafka } = await import('kafkajs');
    const kafka = new Kafka({ clientId: 'shop', brokers: [`${c.host}:${c.port}`], ssl: c.tls,
      connectionTimeout: 2000, retry: { retries: 1, initialRetryTime: 100 } });
    await kafka.producer().connect();
  }],
  amqplib: [5672, 'amqplib', async (c) => {
    const amqp = await get('amqplib');
    const scheme = c.tls ? 'amqps' : 'amqp';
    await amqp.connect(`${scheme}://${user}:${password}@${c.host}:${c.port}`, { timeout: 5000 });
  }],
  'amqp-connection-manager': [5672, 'amqp-connection-manager', async (c) => {
    const amqp = await import('amqp-connection-manager');
    const connection = amqp.connect([`amqp://${user}:${password}@${c.host}:${c.port}`]);
    const failed = await new Promise((yes) => connection.once('connectFailed', yes));
    console.error('amqp down', failed);
    throw failed.err;
  }],
  nats: [4222, 'nats', async (c) => {
    const { connect } = await import('nats');
    await connect({ servers: `${c.host}:${c.port}`, user, pass: password, tls: c.tls ? {} : undefined,
      timeout: 3000, maxReconnectAttempts: 1 });
  }],
  mqtt: [1883, 'mqtt', async (c) => {
    const mqtt = await get('mqtt');
    await mqtt.connectAsync(`mqtt${c.tls ? 's' : ''}://${c.host}:${c.port}`,
      { username: user, password, connectTimeout: 3000, reconnectPeriod: 0 }, false);
  }],
  stompit: [61613, 'stompit', async (c) => {
    const stompit = await get('stompit');
    await new Promise((yes, no) => stompit.connect({ host: c.host, port: c.port, timeout: 3000,
      connectHeaders: { login: user, passcode: password } }, (e) => (e ? no(e) : yes())));
  }],
  axios: [8080, 'axios', async (c) => {
    const axios = await get('axios');
    await axios.get(`${c.http}/orders`, { timeout: 5000, auth: { username: user, password } });
  }],
  fetch: [8080, '', async (c) => {
    const answer = await fetch(`${c.http}/orders`, { signal: AbortSignal.timeout(5000) });
    if (!answer.ok) throw new Error(`orders answered ${answer.status}`);
  }],
  got: [8080, 'got', async (c) => {
    const got = await get('got');
    await got(`${c.http}/orders`, { retry: { limit: 1 }, timeout: { request: 5000 }, username: user, password }).json();
  }],
  'node-fetch': [8080, 'node-fetch', async (c) => {
    const fetch = await get('node-fetch');
    const answer = await fetch(`${c.http}/orders`, { signal: AbortSignal.timeout(5000) });
    if (!answer.ok) throw new Error(`orders answered ${answer.status}`);
  }],
  superagent: [8080, 'superagent', async (c) => {
    const superagent = await get('superagent');
    await superagent.get(`${c.http}/orders`).auth(user, password).timeout(5000);
  }],
  undici: [8080, 'undici', async (c) => {
    const { request } = await import('undici');
    const answer = await request(`${c.http}/orders`, { headersTimeout: 3000 });
    if (answer.statusCode >= 400) throw new Error(`orders answered ${answer.statusCode}`);
  }],
  ws: [8080, 'ws', async (c) => {
    const WebSocket = await get('ws');
    const socket = new WebSocket(`ws${c.tls ? 's' : ''}://${c.host}:${c.port}/live`, { handshakeTimeout: 3000 });
    await once(socket, 'open');
  }],
  'socket.io-client': [8080, 'socket.io-client', async (c) => {
    const { io } = await import('socket.io-client');
    const socket = io(c.http, { timeout: 3000, reconnection: false });
    await once(socket, 'connect', 'connect_error');
  }],
  'grpc-js': [50051, '@grpc/grpc-js', async (c) => {
    const grpc = await get('@grpc/grpc-js');
    const Stock = grpc.makeGenericClientConstructor({ check: { path: '/shop.Stock/Check',
      requestStream: false, responseStream: false, requestSerialize: (x) => Buffer.from(x),
      requestDeserialize: (x) => x, responseSerialize: (x) => x, responseDeserialize: (x) => x } }, 'Stock');
    const how = c.tls ? grpc.credentials.createSsl() : grpc.credentials.createInsecure();
    const client = new Stock(`${c.host}:${c.port}`, how);
    await new Promise((yes, no) => client.check('x', { deadline: Date.now() + 4000 }, (e) => (e ? no(e) : yes())));
  }],
  'grpc-js-wait-for-ready': [50051, '@grpc/grpc-js', async (c) => {
    const grpc = await get('@grpc/grpc-js');
    const client = new grpc.Client(`${c.host}:${c.port}`, grpc.credentials.createInsecure());
    await new Promise((yes, no) => client.waitForReady(Date.now() + 3000, (e) => (e ? no(e) : yes())));
  }],
  'aws-s3': [9000, '@aws-sdk/client-s3', async (c) => {
    const { S3Client, ListBucketsCommand } = await import('@aws-sdk/client-s3');
    const s3 = new S3Client({ endpoint: c.http, region: 'eu-west-1', forcePathStyle: true, maxAttempts: 2,
      credentials: { accessKeyId: user, secretAccessKey: password } });
    await s3.send(new ListBucketsCommand({}));
  }],
  'aws-sqs': [9324, '@aws-sdk/client-sqs', async (c) => {
    const { SQSClient, ListQueuesCommand } = await import('@aws-sdk/client-sqs');
    const sqs = new SQSClient({ endpoint: c.http, region: 'eu-west-1', maxAttempts: 1,
      credentials: { accessKeyId: user, secretAccessKey: password } });
    await sqs.send(new ListQueuesCommand({}));
  }],
  minio: [9000, 'minio', async (c) => {
    const { Client } = await import('minio');
    const client = new Client({ endPoint: c.host, port: c.port, useSSL: c.tls, accessKey: user, secretKey: password });
    await client.listBuckets();
  }],
  'google-cloud-storage': [4443, '@google-cloud/storage', async (c) => {
    const { Storage } = await import('@google-cloud/storage');
    const storage = new Storage({ apiEndpoint: c.http, projectId: 'shop', retryOptions: { autoRetry: false },
      authClient: undefined, useAuthWithCustomEndpoint: false });
    await storage.getBuckets();
  }],
  'azure-storage-blob': [10000, '@azure/storage-blob', async (c) => {
    const { BlobServiceClient, StorageSharedKeyCredential } = await import('@azure/storage-blob');
    const key = new StorageSharedKeyCredential(user, Buffer.from(password).toString('base64'));
    const client = new BlobServiceClient(`${c.http}/${user}`, key, { retryOptions: { maxTries: 1 } });
    await client.getProperties();
  }],
  elasticsearch: [9200, '@elastic/elasticsearch', async (c) => {
    const { Client } = await import('@elastic/elasticsearch');
    const client = new Client({ node: c.http, auth: { username: user, password }, maxRetries: 1, requestTimeout: 4000 });
    await client.info();
  }],
  opensearch: [9200, '@opensearch-project/opensearch', async (c) => {
    const { Client } = await import('@opensearch-project/opensearch');
    const client = new Client({ node: c.http, auth: { username: user, password }, maxRetries: 1, requestTimeout: 4000 });
    await client.info();
  }],
  consul: [8500, 'consul', async (c) => {
    const Consul = await get('consul');
    await new Consul({ host: c.host, port: c.port, secure: c.tls, timeout: 4000 }).kv.get('shop/flags');
  }],
  'node-vault': [8200, 'node-vault', async (c) => {
    const vault = await get('node-vault');
    await vault({ endpoint: c.http, token: password }).read('secret/data/shop');
  }],
  etcd3: [2379, 'etcd3', async (c) => {
    const { Etcd3 } = await import('etcd3');
    await new Etcd3({ hosts: c.http, dialTimeout: 3000, defaultCallOptions: () => ({ deadline: Date.now() + 4000 }) })
      .get('shop/flags').string();
  }],
  ldapts: [389, 'ldapts', async (c) => {
    const { Client } = await import('ldapts');
    const client = new Client({ url: `ldap${c.tls ? 's' : ''}://${c.host}:${c.port}`, connectTimeout: 3000, timeout: 4000 });
    await client.bind('cn=app,dc=example,dc=net', password);
  }],
  nodemailer: [587, 'nodemailer', async (c) => {
    const nodemailer = await get('nodemailer');
    const mail = nodemailer.createTransport({ host: c.host, port: c.port, secure: c.tls, connectionTimeout: 3000,
      greetingTimeout: 3000, auth: { user, pass: password } });
    await mail.sendMail({ from: 'a@example.net', to: 'b@example.net', text: 'hello' });
  }],
  sequelize: [5432, 'sequelize', async (c) => {
    const { Sequelize } = await import('sequelize');
    const db = new Sequelize(database, user, password, { host: c.host, port: c.port, dialect: 'postgres',
      logging: false, dialectOptions: { ssl: c.tls || undefined } });
    await db.authenticate();
  }],
  'sequelize-mysql': [3306, 'sequelize', async (c) => {
    const { Sequelize } = await import('sequelize');
    const db = new Sequelize(database, user, password, { host: c.host, port: c.port, dialect: 'mysql', logging: false,
      dialectOptions: { connectTimeout: 3000 } });
    await db.authenticate();
  }],
  typeorm: [5432, 'typeorm', async (c) => {
    await import('reflect-metadata');
    const { DataSource } = await import('typeorm');
    await new DataSource({ type: 'postgres', host: c.host, port: c.port, username: user, password, database,
      ssl: c.tls, connectTimeoutMS: 5000 }).initialize();
  }],
  knex: [5432, 'knex', async (c) => {
    const knex = await get('knex');
    const db = knex({ client: 'pg', connection: { host: c.host, port: c.port, user, password, database, ssl: c.tls || undefined },
      acquireConnectionTimeout: 5000 });
    await db.raw('select 1');
  }],
  'knex-migrate': [3306, 'knex', async (c) => {
    const knex = await get('knex');
    const db = knex({ client: 'mysql2', connection: { host: c.host, port: c.port, user, password, database, connectTimeout: 3000 },
      acquireConnectionTimeout: 5000 });
    await db.migrate.latest();
  }],
  'drizzle-orm': [5432, 'drizzle-orm', async (c) => {
    const { drizzle } = await import('drizzle-orm/node-postgres');
    const db = drizzle({ connection: { host: c.host, port: c.port, user, password, database, ssl: c.tls || undefined } });
    await db.execute('select 1');
  }],
  prisma: [5432, 'prisma', async (c) => {
    const { PrismaClient } = await get(`${process.cwd()}/prisma-client/index.js`);
    const { PrismaPg } = await import('@prisma/adapter-pg');
    const adapter = new PrismaPg({ host: c.host, port: c.port, user, password, database, ssl: c.tls || undefined });
    const prisma = new PrismaClient({ adapter });
    await prisma.order.findMany();
  }],
  'node-pg-migrate': [5432, 'node-pg-migrate', async (c) => {
    const { runner } = await import('node-pg-migrate');
    await runner({ databaseUrl: { host: c.host, port: c.port, user, password, database, ssl: c.tls || undefined },
      dir: 'migrations', direction: 'up', migrationsTable: 'migrations' });
  }],
  temporal: [7233, '@temporalio/client', async (c) => {
    const { Connection } = await import('@temporalio/client');
    await Connection.connect({ address: `${c.host}:${c.port}`, tls: c.tls || undefined, connectTimeout: 3000 });
  }],
};

const [name] = process.argv.slice(2);
if (!name) {
  for (const [name, [port, packages]] of Object.entries(clients)) console.log([name, port, packages].join('\t'));
  process.exit(0);
}
const tls = process.env.TLS === '1';
const host = process.env.HOST, port = Number(process.env.PORT);
const http = `http${tls ? 's' : ''}://${host}:${port}`;
process.on('unhandledRejection', (e) => { section('unhandled'); console.error(e); process.exit(1); });
let error;
try {
  await clients[name][2]({ host, port, tls, http });
  section('came up');
  process.exit(0);
} catch (e) {
  error = e;
}
await sleep(50);
section('console');
console.error('shop: start failed', error);
section('message');
console.error(`shop: start failed: ${error?.message}`);
const pino = await get('pino');
section('pino');
pino(pino.destination({ sync: true })).error(error, 'start failed');
const bunyan = await get('bunyan');
section('bunyan');
bunyan.createLogger({ name: 'shop', serializers: bunyan.stdSerializers }).error({ err: error }, 'start failed');
await sleep(20);
const winston = await get('winston');
section('winston');
const { combine, timestamp, errors, json } = winston.format;
// It writes its own fields into what it is given.
const copy = Object.assign(new Error(error?.message), error, { stack: error?.stack });
winston.createLogger({ format: combine(timestamp(), errors({ stack: true }), json()),
  transports: [new winston.transports.Console()] }).error(copy);
await sleep(20);
section('uncaught');
process.removeAllListeners('unhandledRejection');
setImmediate(() => { throw error; });
setTimeout(() => process.exit(1), 500);
