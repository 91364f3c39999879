// Clients that are Go modules: what each prints when its first connection fails, bare and through
// loggers. Without arguments it lists them; with a name it runs one against HOST and PORT.
package main

import (
	"context"
	"crypto/tls"
	"database/sql"
	"fmt"
	"log"
	"log/slog"
	"net/http"
	"os"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/IBM/sarama"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	mqtt "github.com/eclipse/paho.mqtt.golang"
	"github.com/elastic/go-elasticsearch/v8"
	"github.com/go-resty/resty/v2"
	_ "github.com/go-sql-driver/mysql"
	"github.com/gocql/gocql"
	"github.com/golang-migrate/migrate/v4"
	_ "github.com/golang-migrate/migrate/v4/database/postgres"
	_ "github.com/golang-migrate/migrate/v4/source/file"
	redigo "github.com/gomodule/redigo/redis"
	"github.com/gorilla/websocket"
	consul "github.com/hashicorp/consul/api"
	"github.com/hashicorp/go-retryablehttp"
	vault "github.com/hashicorp/vault/api"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	_ "github.com/lib/pq"
	_ "github.com/microsoft/go-mssqldb"
	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
	"github.com/nats-io/nats.go"
	"github.com/neo4j/neo4j-go-driver/v5/neo4j"
	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/redis/go-redis/v9"
	"github.com/rs/zerolog"
	"github.com/segmentio/kafka-go"
	"github.com/sirupsen/logrus"
	"github.com/twmb/franz-go/pkg/kgo"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
	"go.uber.org/zap"
	"google.golang.org/grpc"
	grpccredentials "google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"gorm.io/driver/postgres"
	"gorm.io/gorm"
)

const user, password, database = "app", "wrong-one", "shop"

var (
	host      = os.Getenv("HOST")
	port, _   = strconv.Atoi(os.Getenv("PORT"))
	withTLS   = os.Getenv("TLS") == "1"
	address   = fmt.Sprintf("%s:%d", host, port)
	scheme    = map[bool]string{false: "http", true: "https"}[withTLS]
	base      = scheme + "://" + address
	tlsConfig = map[bool]*tls.Config{true: {ServerName: host}}[withTLS]
)

type client struct {
	port     int
	packages string
	run      func(context.Context) error
}

func answered(response *http.Response, err error) error {
	if err == nil && response.StatusCode >= 400 {
		return fmt.Errorf("orders answered %s", response.Status)
	}
	return err
}

func databaseSQL(driver, dsn string) func(context.Context) error {
	return func(ctx context.Context) error {
		db, err := sql.Open(driver, dsn)
		if err != nil {
			return err
		}
		return db.PingContext(ctx)
	}
}

func postgresURL() string {
	mode := map[bool]string{false: "prefer", true: "verify-full"}[withTLS]
	return fmt.Sprintf("postgres://%s:%s@%s/%s?sslmode=%s&connect_timeout=4", user, password, address, database, mode)
}

var clients = map[string]client{
	"go-redis": {6379, "github.com/redis/go-redis/v9", func(ctx context.Context) error {
		return redis.NewClient(&redis.Options{Addr: address, Password: password, TLSConfig: tlsConfig, MaxRetries: 1}).Get(ctx, "cart").Err()
	}},
	"go-redis-cluster": {6379, "github.com/redis/go-redis/v9", func(ctx context.Context) error {
		return redis.NewClusterClient(&redis.ClusterOptions{Addrs: []string{address}, Password: password}).Get(ctx, "cart").Err()
	}},
	"go-redis-sentinel": {26379, "github.com/redis/go-redis/v9", func(ctx context.Context) error {
		return redis.NewFailoverClient(&redis.FailoverOptions{MasterName: "mymaster", SentinelAddrs: []string{address}, MaxRetries: 1}).Get(ctx, "cart").Err()
	}},
	"redigo": {6379, "github.com/gomodule/redigo", func(ctx context.Context) error {
		_, err := redigo.DialContext(ctx, "tcp", address, redigo.DialPassword(password), redigo.DialUseTLS(withTLS), redigo.DialReadTimeout(3*time.Second))
		return err
	}},
	"lib-pq": {5432, "github.com/lib/pq", databaseSQL("postgres", postgresURL())},
	"pgx": {5432, "github.com/jackc/pgx/v5", func(ctx context.Context) error {
		_, err := pgx.Connect(ctx, postgresURL())
		return err
	}},
	"pgxpool": {5432, "github.com/jackc/pgx/v5", func(ctx context.Context) error {
		pool, err := pgxpool.New(ctx, postgresURL())
		if err != nil {
			return err
		}
		return pool.Ping(ctx)
	}},
	"gorm": {5432, "gorm.io/gorm gorm.io/driver/postgres", func(ctx context.Context) error {
		_, err := gorm.Open(postgres.Open(postgresURL()), &gorm.Config{})
		return err
	}},
	"golang-migrate": {5432, "github.com/golang-migrate/migrate/v4", func(ctx context.Context) error {
		_, err := migrate.New("file:///tmp", postgresURL())
		return err
	}},
	"go-sql-driver-mysql": {3306, "github.com/go-sql-driver/mysql", databaseSQL("mysql", fmt.Sprintf("%s:%s@tcp(%s)/%s?timeout=5s", user, password, address, database))},
	"go-mssqldb":          {1433, "github.com/microsoft/go-mssqldb", databaseSQL("sqlserver", fmt.Sprintf("sqlserver://%s:%s@%s?dial+timeout=4", user, password, address))},
	"mongo-driver": {27017, "go.mongodb.org/mongo-driver/v2", func(ctx context.Context) error {
		c, err := mongo.Connect(options.Client().ApplyURI("mongodb://" + address).SetServerSelectionTimeout(3 * time.Second).SetTLSConfig(tlsConfig))
		if err != nil {
			return err
		}
		return c.Ping(ctx, nil)
	}},
	"gocql": {9042, "github.com/gocql/gocql", func(ctx context.Context) error {
		cluster := gocql.NewCluster(host)
		cluster.Port, cluster.ConnectTimeout, cluster.Timeout = port, 3*time.Second, 3*time.Second
		_, err := cluster.CreateSession()
		return err
	}},
	"neo4j": {7687, "github.com/neo4j/neo4j-go-driver/v5", func(ctx context.Context) error {
		driver, err := neo4j.NewDriverWithContext("bolt"+map[bool]string{true: "+s"}[withTLS]+"://"+address, neo4j.BasicAuth(user, password, ""))
		if err != nil {
			return err
		}
		return driver.VerifyConnectivity(ctx)
	}},
	"kafka-go": {9092, "github.com/segmentio/kafka-go", func(ctx context.Context) error {
		writer := &kafka.Writer{Addr: kafka.TCP(address), Topic: "orders", MaxAttempts: 1, WriteTimeout: 3 * time.Second}
		return writer.WriteMessages(ctx, kafka.Message{Value: []byte("1")})
	}},
	"sarama": {9092, "github.com/IBM/sarama", func(ctx context.Context) error {
		sarama.Logger = log.New(os.Stderr, "[sarama] ", log.LstdFlags)
		config := sarama.NewConfig()
		config.Net.DialTimeout, config.Net.ReadTimeout, config.Metadata.Retry.Max = 3*time.Second, 3*time.Second, 1
		config.Net.TLS.Enable, config.Net.TLS.Config = withTLS, tlsConfig
		_, err := sarama.NewClient([]string{address}, config)
		return err
	}},
	"franz-go": {9092, "github.com/twmb/franz-go", func(ctx context.Context) error {
		c, err := kgo.NewClient(kgo.SeedBrokers(address), kgo.WithLogger(kgo.BasicLogger(os.Stderr, kgo.LogLevelWarn, nil)), kgo.RequestRetries(1), kgo.RetryTimeout(4*time.Second))
		if err != nil {
			return err
		}
		return c.Ping(ctx)
	}},
	"amqp091-go": {5672, "github.com/rabbitmq/amqp091-go", func(ctx context.Context) error {
		_, err := amqp.DialConfig(fmt.Sprintf("amqp%s://%s:%s@%s/", map[bool]string{true: "s"}[withTLS], user, password, address), amqp.Config{Dial: amqp.DefaultDial(4 * time.Second)})
		return err
	}},
	"nats.go": {4222, "github.com/nats-io/nats.go", func(ctx context.Context) error {
		_, err := nats.Connect(address, nats.UserInfo(user, password), nats.Timeout(4*time.Second), func(o *nats.Options) error { o.Secure = withTLS; return nil })
		return err
	}},
	"paho-mqtt": {1883, "github.com/eclipse/paho.mqtt.golang", func(ctx context.Context) error {
		mqtt.ERROR = log.New(os.Stderr, "[ERROR] ", 0)
		mqtt.WARN = log.New(os.Stderr, "[WARN]  ", 0)
		o := mqtt.NewClientOptions().AddBroker(map[bool]string{false: "tcp", true: "ssl"}[withTLS] + "://" + address).SetUsername(user).SetPassword(password).SetConnectTimeout(4 * time.Second)
		token := mqtt.NewClient(o).Connect()
		token.Wait()
		return token.Error()
	}},
	"net-http": {8080, "", func(ctx context.Context) error {
		c := http.Client{Timeout: 4 * time.Second}
		return answered(c.Get(base + "/orders"))
	}},
	"resty": {8080, "github.com/go-resty/resty/v2", func(ctx context.Context) error {
		answer, err := resty.New().SetRetryCount(1).SetTimeout(4 * time.Second).R().Get(base + "/orders")
		if err == nil && answer.IsError() {
			return fmt.Errorf("orders answered %s", answer.Status())
		}
		return err
	}},
	"retryablehttp": {8080, "github.com/hashicorp/go-retryablehttp", func(ctx context.Context) error {
		c := retryablehttp.NewClient()
		c.RetryMax, c.RetryWaitMin = 2, 50*time.Millisecond
		c.HTTPClient.Timeout = 3 * time.Second
		return answered(c.Get(base + "/orders"))
	}},
	"gorilla-websocket": {8080, "github.com/gorilla/websocket", func(ctx context.Context) error {
		_, _, err := websocket.DefaultDialer.DialContext(ctx, map[bool]string{false: "ws", true: "wss"}[withTLS]+"://"+address+"/live", nil)
		return err
	}},
	"grpc-go": {50051, "google.golang.org/grpc", func(ctx context.Context) error {
		how := insecure.NewCredentials()
		if withTLS {
			how = grpccredentials.NewTLS(tlsConfig)
		}
		c, err := grpc.NewClient(address, grpc.WithTransportCredentials(how))
		if err != nil {
			return err
		}
		return c.Invoke(ctx, "/shop.Stock/Check", &struct{}{}, &struct{}{}, grpc.ForceCodec(empty{}))
	}},
	"aws-s3": {9000, "github.com/aws/aws-sdk-go-v2/service/s3", func(ctx context.Context) error {
		secret := aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: user, SecretAccessKey: password}, nil
		})
		c := s3.New(s3.Options{BaseEndpoint: aws.String(base), Region: "eu-west-1", UsePathStyle: true, Credentials: secret, RetryMaxAttempts: 2})
		_, err := c.ListBuckets(ctx, &s3.ListBucketsInput{})
		return err
	}},
	"minio": {9000, "github.com/minio/minio-go/v7", func(ctx context.Context) error {
		c, err := minio.New(address, &minio.Options{Creds: credentials.NewStaticV4(user, password, ""), Secure: withTLS, MaxRetries: 1})
		if err != nil {
			return err
		}
		_, err = c.ListBuckets(ctx)
		return err
	}},
	"elasticsearch": {9200, "github.com/elastic/go-elasticsearch/v8", func(ctx context.Context) error {
		c, err := elasticsearch.NewClient(elasticsearch.Config{Addresses: []string{base}, Username: user, Password: password, MaxRetries: 1})
		if err != nil {
			return err
		}
		answer, err := c.Info(c.Info.WithContext(ctx))
		if err == nil && answer.IsError() {
			return fmt.Errorf("search answered %s", answer.Status())
		}
		return err
	}},
	"vault": {8200, "github.com/hashicorp/vault/api", func(ctx context.Context) error {
		c, err := vault.NewClient(&vault.Config{Address: base, MaxRetries: 1, Timeout: 3 * time.Second})
		if err != nil {
			return err
		}
		c.SetToken(password)
		_, err = c.Logical().ReadWithContext(ctx, "secret/data/shop")
		return err
	}},
	"consul": {8500, "github.com/hashicorp/consul/api", func(ctx context.Context) error {
		c, err := consul.NewClient(&consul.Config{Address: address, Scheme: scheme, HttpClient: &http.Client{Timeout: 4 * time.Second}})
		if err != nil {
			return err
		}
		_, _, err = c.KV().Get("shop/flags", nil)
		return err
	}},
	"etcd": {2379, "go.etcd.io/etcd/client/v3", func(ctx context.Context) error {
		c, err := clientv3.New(clientv3.Config{Endpoints: []string{base}, DialTimeout: 3 * time.Second, TLS: tlsConfig})
		if err != nil {
			return err
		}
		limited, cancel := context.WithTimeout(ctx, 3*time.Second)
		defer cancel()
		_, err = c.Get(limited, "shop/flags")
		return err
	}},
}

// A message that needs no description.
type empty struct{}

func (empty) Marshal(any) ([]byte, error) { return nil, nil }
func (empty) Unmarshal([]byte, any) error { return nil }
func (empty) Name() string                { return "proto" }

func section(name string) { fmt.Printf("\x1e%s\n", name) }

func main() {
	if len(os.Args) < 2 {
		var lines []string
		for name, c := range clients {
			lines = append(lines, fmt.Sprintf("%s\t%d\t%s", name, c.port, c.packages))
		}
		sort.Strings(lines)
		fmt.Println(strings.Join(lines, "\n"))
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), 6*time.Second)
	defer cancel()
	err := clients[os.Args[1]].run(ctx)
	if err == nil {
		section("came up")
		return
	}
	section("slog")
	slog.New(slog.NewJSONHandler(os.Stdout, nil)).Error("start failed", "error", err)
	section("slog-text")
	slog.New(slog.NewTextHandler(os.Stdout, nil)).Error("start failed", "error", err)
	section("zap")
	logger, _ := zap.NewProduction(zap.WithCaller(false))
	logger.Error("start failed", zap.Error(err))
	section("zerolog")
	zl := zerolog.New(os.Stdout).With().Timestamp().Logger()
	zl.Error().Err(err).Msg("start failed")
	section("logrus")
	l := logrus.New()
	l.SetOutput(os.Stdout)
	l.SetFormatter(&logrus.JSONFormatter{})
	l.WithError(err).Error("start failed")
	section("message")
	log.Fatalf("start failed: %v", err)
}
