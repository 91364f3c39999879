// Clients from Maven: what each prints when its first connection fails, bare and through loggers.
// Without arguments it lists them; with a name it runs one against HOST and PORT.

import java.net.URI;
import java.time.Duration;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;

public class Clients {
    static final String HOST = System.getenv().getOrDefault("HOST", "");
    static final int PORT = Integer.parseInt(System.getenv().getOrDefault("PORT", "0"));
    static final boolean TLS = "1".equals(System.getenv("TLS"));
    static final String ADDRESS = HOST + ":" + PORT;
    static final String HTTP = (TLS ? "https://" : "http://") + ADDRESS;
    static final String USER = "app", PASSWORD = "wrong-one";

    interface Run { void run() throws Exception; }

    record Client(int port, String packages, Run run) {}

    static final Map<String, Client> CLIENTS = new LinkedHashMap<>();

    static void client(String name, int port, String packages, Run run) {
        CLIENTS.put(name, new Client(port, packages, run));
    }

    static String postgres() {
        return "jdbc:postgresql://" + ADDRESS + "/shop?connectTimeout=4&socketTimeout=4" + (TLS ? "&sslmode=verify-full&sslfactory=org.postgresql.ssl.DefaultJavaSSLFactory" : "");
    }

    static String mysql() {
        return "jdbc:mysql://" + ADDRESS + "/shop?connectTimeout=4000&socketTimeout=4000";
    }

    static void jdbc(String url) throws Exception {
        java.sql.DriverManager.getConnection(url, USER, PASSWORD).close();
    }

    static void databases() {
        client("postgresql", 5432, "org.postgresql:postgresql", () -> jdbc(postgres()));
        client("mysql-connector-j", 3306, "com.mysql:mysql-connector-j", () -> jdbc(mysql()));
        client("mariadb", 3306, "org.mariadb.jdbc:mariadb-java-client",
            () -> jdbc("jdbc:mariadb://" + ADDRESS + "/shop?connectTimeout=4000&socketTimeout=4000"));
        client("mssql-jdbc", 1433, "com.microsoft.sqlserver:mssql-jdbc",
            () -> jdbc("jdbc:sqlserver://" + HOST + ":" + PORT + ";databaseName=shop;loginTimeout=4;connectRetryCount=0"));
        client("clickhouse-jdbc", 8123, "com.clickhouse:clickhouse-jdbc",
            () -> { try (var c = java.sql.DriverManager.getConnection("jdbc:clickhouse:" + HTTP + "/shop", USER, PASSWORD);
                    var s = c.createStatement()) { s.executeQuery("select 1"); } });
        client("HikariCP", 5432, "com.zaxxer:HikariCP", () -> {
            var config = new com.zaxxer.hikari.HikariConfig();
            config.setJdbcUrl(postgres());
            config.setUsername(USER);
            config.setPassword(PASSWORD);
            config.setConnectionTimeout(4000);
            config.setInitializationFailTimeout(1);
            new com.zaxxer.hikari.HikariDataSource(config).close();
        });
        client("HikariCP-lazy", 3306, "com.zaxxer:HikariCP com.mysql:mysql-connector-j", () -> {
            var config = new com.zaxxer.hikari.HikariConfig();
            config.setJdbcUrl(mysql());
            config.setUsername(USER);
            config.setPassword(PASSWORD);
            config.setConnectionTimeout(2000);
            config.setInitializationFailTimeout(-1);
            try (var pool = new com.zaxxer.hikari.HikariDataSource(config)) { pool.getConnection(); }
        });
        client("flyway", 5432, "org.flywaydb:flyway-core", () ->
            org.flywaydb.core.Flyway.configure().dataSource(postgres(), USER, PASSWORD).load().migrate());
        client("liquibase", 5432, "org.liquibase:liquibase-core", () ->
            liquibase.database.DatabaseFactory.getInstance().openDatabase(postgres(), USER, PASSWORD, null, null));
        client("hibernate", 5432, "org.hibernate.orm:hibernate-core", () -> {
            var configuration = new org.hibernate.cfg.Configuration();
            configuration.setProperty("hibernate.connection.url", postgres());
            configuration.setProperty("hibernate.connection.username", USER);
            configuration.setProperty("hibernate.connection.password", PASSWORD);
            configuration.setProperty("hibernate.hbm2ddl.auto", "update");
            configuration.buildSessionFactory().openSession().beginTransaction();
        });
        client("mongodb-driver-sync", 27017, "org.mongodb:mongodb-driver-sync", () -> {
            try (var c = com.mongodb.client.MongoClients.create("mongodb://" + ADDRESS
                    + "/?serverSelectionTimeoutMS=3000&connectTimeoutMS=2500&tls=" + TLS)) {
                c.getDatabase("shop").getCollection("carts").countDocuments();
            }
        });
        client("elasticsearch-rest-client", 9200, "org.elasticsearch.client:elasticsearch-rest-client", () -> {
            try (var c = org.elasticsearch.client.RestClient.builder(new org.apache.http.HttpHost(HOST, PORT, TLS ? "https" : "http")).build()) {
                c.performRequest(new org.elasticsearch.client.Request("GET", "/"));
            }
        });
    }

    static void cachesAndBrokers() {
        client("jedis", 6379, "redis.clients:jedis", () -> {
            try (var c = redis.clients.jedis.RedisClient.builder().hostAndPort(HOST, PORT)
                    .clientConfig(redis.clients.jedis.DefaultJedisClientConfig.builder().password(PASSWORD).ssl(TLS)
                        .connectionTimeoutMillis(4000).socketTimeoutMillis(3000).build()).build()) {
                c.get("cart");
            }
        });
        client("lettuce-core", 6379, "io.lettuce:lettuce-core", () -> {
            var uri = io.lettuce.core.RedisURI.builder().withHost(HOST).withPort(PORT).withSsl(TLS)
                .withPassword(PASSWORD.toCharArray()).withTimeout(Duration.ofSeconds(4)).build();
            io.lettuce.core.RedisClient.create(uri).connect().sync().get("cart");
        });
        client("lettuce-cluster", 6379, "io.lettuce:lettuce-core", () -> {
            var uri = io.lettuce.core.RedisURI.builder().withHost(HOST).withPort(PORT).withSsl(TLS)
                .withTimeout(Duration.ofSeconds(4)).build();
            io.lettuce.core.cluster.RedisClusterClient.create(uri).connect();
        });
        client("kafka-clients", 9092, "org.apache.kafka:kafka-clients", () -> {
            try (var admin = org.apache.kafka.clients.admin.Admin.create(kafka())) {
                admin.listTopics().names().get();
            }
        });
        client("kafka-producer", 9092, "org.apache.kafka:kafka-clients", () -> {
            var properties = kafka();
            properties.put("max.block.ms", "3000");
            var text = "org.apache.kafka.common.serialization.StringSerializer";
            properties.put("key.serializer", text);
            properties.put("value.serializer", text);
            var producer = new org.apache.kafka.clients.producer.KafkaProducer<String, String>(properties);
            producer.send(new org.apache.kafka.clients.producer.ProducerRecord<>("orders", "1")).get();
        });
        client("amqp-client", 5672, "com.rabbitmq:amqp-client", () -> {
            var factory = new com.rabbitmq.client.ConnectionFactory();
            factory.setHost(HOST);
            factory.setPort(PORT);
            factory.setUsername(USER);
            factory.setPassword(PASSWORD);
            factory.setConnectionTimeout(4000);
            factory.setHandshakeTimeout(3000);
            if (TLS) factory.useSslProtocol(javax.net.ssl.SSLContext.getDefault());
            factory.newConnection().close();
        });
        client("activemq-client", 61616, "org.apache.activemq:activemq-client", () ->
            new org.apache.activemq.ActiveMQConnectionFactory((TLS ? "ssl://" : "tcp://") + ADDRESS
                + "?connectionTimeout=4000&wireFormat.maxInactivityDurationInitalDelay=3000").createConnection().start());
        client("activemq-failover", 61616, "org.apache.activemq:activemq-client", () ->
            new org.apache.activemq.ActiveMQConnectionFactory("failover:(tcp://" + ADDRESS
                + "?connectionTimeout=3000)?startupMaxReconnectAttempts=2").createConnection().start());
        client("paho-mqttv3", 1883, "org.eclipse.paho:org.eclipse.paho.client.mqttv3", () -> {
            var options = new org.eclipse.paho.client.mqttv3.MqttConnectOptions();
            options.setUserName(USER);
            options.setPassword(PASSWORD.toCharArray());
            options.setConnectionTimeout(4);
            new org.eclipse.paho.client.mqttv3.MqttClient((TLS ? "ssl://" : "tcp://") + ADDRESS, "shop",
                new org.eclipse.paho.client.mqttv3.persist.MemoryPersistence()).connect(options);
        });
        client("zookeeper", 2181, "org.apache.zookeeper:zookeeper", () -> {
            try (var z = new org.apache.zookeeper.ZooKeeper(ADDRESS, 3000, event -> {})) {
                z.exists("/shop", false);
            }
        });
    }

    static Properties kafka() {
        var properties = new Properties();
        properties.put("bootstrap.servers", ADDRESS);
        properties.put("default.api.timeout.ms", "3000");
        properties.put("request.timeout.ms", "2000");
        properties.put("security.protocol", TLS ? "SSL" : "PLAINTEXT");
        return properties;
    }

    static void http() {
        client("java-net-http", 8080, "", () -> {
            var c = java.net.http.HttpClient.newBuilder().connectTimeout(Duration.ofSeconds(4)).build();
            var answer = c.send(java.net.http.HttpRequest.newBuilder(URI.create(HTTP + "/orders")).timeout(Duration.ofSeconds(4)).build(),
                java.net.http.HttpResponse.BodyHandlers.ofString());
            status(answer.statusCode());
        });
        client("java-net-url", 8080, "", () -> {
            var c = URI.create(HTTP + "/orders").toURL().openConnection();
            c.setConnectTimeout(4000);
            c.setReadTimeout(3000);
            c.getInputStream().close();
        });
        client("okhttp", 8080, "com.squareup.okhttp3:okhttp-jvm", () -> {
            var c = new okhttp3.OkHttpClient.Builder().callTimeout(Duration.ofSeconds(5)).build();
            try (var answer = c.newCall(new okhttp3.Request.Builder().url(HTTP + "/orders").build()).execute()) {
                status(answer.code());
            }
        });
        client("httpclient5", 8080, "org.apache.httpcomponents.client5:httpclient5", () -> {
            try (var c = org.apache.hc.client5.http.impl.classic.HttpClients.createDefault()) {
                status(c.execute(new org.apache.hc.client5.http.classic.methods.HttpGet(HTTP + "/orders"), r -> r.getCode()));
            }
        });
        client("reactor-netty", 8080, "io.projectreactor.netty:reactor-netty-http", () ->
            status(reactor.netty.http.client.HttpClient.create().responseTimeout(Duration.ofSeconds(4)).get()
                .uri(HTTP + "/orders").response().block(Duration.ofSeconds(6)).status().code()));
        client("spring-rest-client", 8080, "org.springframework:spring-web", () ->
            org.springframework.web.client.RestClient.create(HTTP).get().uri("/orders").retrieve().body(String.class));
        client("spring-rest-template", 8080, "org.springframework:spring-web", () ->
            new org.springframework.web.client.RestTemplate().getForObject(HTTP + "/orders", String.class));
        client("grpc-java", 50051, "io.grpc:grpc-netty-shaded", () -> {
            var builder = io.grpc.netty.shaded.io.grpc.netty.NettyChannelBuilder.forAddress(HOST, PORT);
            var channel = (TLS ? builder : builder.usePlaintext()).build();
            var bytes = new io.grpc.MethodDescriptor.Marshaller<byte[]>() {
                public java.io.InputStream stream(byte[] value) { return new java.io.ByteArrayInputStream(value); }
                public byte[] parse(java.io.InputStream stream) { return new byte[0]; }
            };
            var method = io.grpc.MethodDescriptor.newBuilder(bytes, bytes).setType(io.grpc.MethodDescriptor.MethodType.UNARY)
                .setFullMethodName("shop.Stock/Check").build();
            io.grpc.stub.ClientCalls.blockingUnaryCall(channel, method,
                io.grpc.CallOptions.DEFAULT.withDeadlineAfter(5, java.util.concurrent.TimeUnit.SECONDS), new byte[0]);
        });
        client("aws-s3", 9000, "software.amazon.awssdk:s3", () -> {
            var keys = software.amazon.awssdk.auth.credentials.AwsBasicCredentials.create(USER, PASSWORD);
            software.amazon.awssdk.services.s3.S3Client.builder().endpointOverride(URI.create(HTTP)).forcePathStyle(true)
                .region(software.amazon.awssdk.regions.Region.EU_WEST_1)
                .httpClientBuilder(software.amazon.awssdk.http.urlconnection.UrlConnectionHttpClient.builder())
                .overrideConfiguration(c -> c.retryStrategy(software.amazon.awssdk.retries.DefaultRetryStrategy.doNotRetry()))
                .credentialsProvider(software.amazon.awssdk.auth.credentials.StaticCredentialsProvider.create(keys))
                .build().listBuckets();
        });
    }

    static void status(int status) {
        if (status >= 400) throw new IllegalStateException("orders answered " + status);
    }

    static void section(String name) {
        System.err.flush();
        System.out.print("\u001e" + name + "\n");
        System.out.flush();
    }

    /** The application's logger, writing events as the encoder says. */
    static org.slf4j.Logger logback(ch.qos.logback.core.encoder.Encoder<ch.qos.logback.classic.spi.ILoggingEvent> encoder) {
        var context = (ch.qos.logback.classic.LoggerContext) org.slf4j.LoggerFactory.getILoggerFactory();
        var root = context.getLogger("ROOT");
        root.detachAndStopAllAppenders();
        root.setLevel(ch.qos.logback.classic.Level.WARN);
        encoder.setContext(context);
        encoder.start();
        var console = new ch.qos.logback.core.ConsoleAppender<ch.qos.logback.classic.spi.ILoggingEvent>();
        console.setContext(context);
        console.setEncoder(encoder);
        console.start();
        root.addAppender(console);
        return context.getLogger("com.example.shop.Main");
    }

    static ch.qos.logback.classic.encoder.PatternLayoutEncoder pattern() {
        var encoder = new ch.qos.logback.classic.encoder.PatternLayoutEncoder();
        encoder.setPattern("%d{HH:mm:ss.SSS} [%thread] %-5level %logger{36} -- %msg%n");
        return encoder;
    }

    public static void main(String[] arguments) throws Exception {
        databases();
        cachesAndBrokers();
        http();
        if (arguments.length == 0) {
            CLIENTS.forEach((name, c) -> System.out.println(name + "\t" + c.port() + "\t" + c.packages()));
            return;
        }
        var logger = logback(pattern());
        Throwable error;
        try {
            CLIENTS.get(arguments[0]).run().run();
            section("came up");
            System.exit(0);
            return;
        } catch (Throwable e) {
            error = e;
        }
        section("logback");
        logger.error("start failed", error);
        section("message");
        logger.error("start failed: {}", error.getMessage());
        section("logback-json");
        logback(new ch.qos.logback.classic.encoder.JsonEncoder()).error("start failed", error);
        section("log4j2-json");
        var builder = org.apache.logging.log4j.core.config.builder.api.ConfigurationBuilderFactory.newConfigurationBuilder();
        builder.add(builder.newAppender("out", "Console").add(builder.newLayout("JsonTemplateLayout")
            .addAttribute("eventTemplateUri", "classpath:EcsLayout.json")));
        builder.add(builder.newRootLogger(org.apache.logging.log4j.Level.INFO).add(builder.newAppenderRef("out")));
        var context = org.apache.logging.log4j.core.config.Configurator.initialize(builder.build());
        context.getLogger("com.example.shop.Main").error("start failed", error);
        section("uncaught");
        System.err.print("Exception in thread \"main\" ");
        error.printStackTrace();
        System.exit(1);
    }
}
