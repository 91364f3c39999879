<?php
// PHP's extensions: what each prints when its first connection fails. Without arguments it lists
// them; with a name it runs one against HOST and PORT.
$host = getenv('HOST'); $port = (int) getenv('PORT'); $tls = getenv('TLS') === '1';
[$user, $password, $http] = ['app', 'wrong-one', ($tls ? 'https' : 'http') . "://$host:$port"];
ini_set('default_socket_timeout', '4');
$clients = [
    'php-redis' => [6379, 'php-redis', function () use ($host, $port, $password, $tls) {
        $redis = new Redis();
        $redis->connect($tls ? "tls://$host" : $host, $port, 4);
        $redis->auth($password);
    }],
    'php-pdo-pgsql' => [5432, 'php-pgsql', function () use ($host, $port, $user, $password) {
        new PDO("pgsql:host=$host;port=$port;dbname=shop;connect_timeout=5", $user, $password);
    }],
    'php-pgsql' => [5432, 'php-pgsql', function () use ($host, $port, $user, $password) {
        if (!pg_connect("host=$host port=$port dbname=shop user=$user password=$password connect_timeout=5")) {
            throw new RuntimeException('no database');
        }
    }],
    'php-pdo-mysql' => [3306, 'php-mysql', function () use ($host, $port, $user, $password) {
        new PDO("mysql:host=$host;port=$port;dbname=shop", $user, $password, [PDO::ATTR_TIMEOUT => 4]);
    }],
    'php-mysqli' => [3306, 'php-mysql', function () use ($host, $port, $user, $password) {
        new mysqli($host, $user, $password, 'shop', $port);
    }],
    'php-curl' => [8080, 'php-curl', function () use ($http) {
        $curl = curl_init("$http/orders");
        curl_setopt_array($curl, [CURLOPT_RETURNTRANSFER => true, CURLOPT_TIMEOUT => 4, CURLOPT_FAILONERROR => true]);
        if (curl_exec($curl) === false) {
            throw new RuntimeException(curl_error($curl), curl_errno($curl));
        }
    }],
    'php-file-get-contents' => [8080, 'php-cli', function () use ($http) {
        if (file_get_contents("$http/orders") === false) {
            throw new RuntimeException('no orders');
        }
    }],
    'php-stream-socket' => [7000, 'php-cli', function () use ($host, $port, $tls) {
        if (!stream_socket_client(($tls ? 'tls' : 'tcp') . "://$host:$port", $number, $text, 4)) {
            throw new RuntimeException("$text ($number)");
        }
    }],
    'php-amqp' => [5672, 'php-amqp', function () use ($host, $port, $user, $password) {
        (new AMQPConnection(['host' => $host, 'port' => $port, 'login' => $user, 'password' => $password,
            'connect_timeout' => 4, 'read_timeout' => 3]))->connect();
    }],
    'php-memcached' => [11211, 'php-memcached', function () use ($host, $port) {
        $cache = new Memcached();
        $cache->addServer($host, $port);
        if (!$cache->set('cart', 1)) {
            throw new RuntimeException($cache->getResultMessage(), $cache->getResultCode());
        }
    }],
    'php-mongodb' => [27017, 'php-mongodb', function () use ($host, $port, $tls) {
        $manager = new MongoDB\Driver\Manager("mongodb://$host:$port/?serverSelectionTimeoutMS=3000&connectTimeoutMS=2500&tls=" . ($tls ? 'true' : 'false'));
        $manager->executeCommand('shop', new MongoDB\Driver\Command(['ping' => 1]));
    }],
];
if ($argc < 2) {
    foreach ($clients as $name => [$port, $packages]) {
        echo "$name\t$port\t$packages\n";
    }
    exit(0);
}
ini_set('display_errors', 'stderr');
ini_set('html_errors', '0');
try {
    $clients[$argv[1]][2]();
    echo "\x1ecame up\n";
    exit(0);
} catch (Throwable $error) {
    echo "\x1emessage\n";
    error_log('start failed: ' . $error->getMessage());
    echo "\x1ejson\n";
    echo json_encode(['level' => 'ERROR', 'message' => 'start failed', 'context' => ['exception' => [
        'class' => get_class($error), 'message' => $error->getMessage(), 'code' => $error->getCode()]]]), "\n";
    echo "\x1euncaught\n";
    throw $error;
}
