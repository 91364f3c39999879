# Ruby's libraries: what each prints when its first connection fails. Without arguments it lists
# them; with a name it runs one against HOST and PORT.
require 'json'
require 'logger'

HOST, PORT, TLS = ENV['HOST'], ENV['PORT'].to_i, ENV['TLS'] == '1'
USER, PASSWORD = 'app', 'wrong-one'
HTTP = "http#{TLS ? 's' : ''}://#{HOST}:#{PORT}"

CLIENTS = {
  'ruby-pg' => [5432, 'ruby-pg', lambda {
    require 'pg'
    PG.connect(host: HOST, port: PORT, user: USER, password: PASSWORD, dbname: 'shop', connect_timeout: 5)
  }],
  'ruby-mysql2' => [3306, 'ruby-mysql2', lambda {
    require 'mysql2'
    Mysql2::Client.new(host: HOST, port: PORT, username: USER, password: PASSWORD, connect_timeout: 4)
  }],
  'ruby-redis' => [6379, 'ruby-redis', lambda {
    require 'redis'
    Redis.new(host: HOST, port: PORT, password: PASSWORD, ssl: TLS, timeout: 4, reconnect_attempts: 0).get('cart')
  }],
  'ruby-bunny' => [5672, 'ruby-bunny', lambda {
    require 'bunny'
    Bunny.new(host: HOST, port: PORT, user: USER, password: PASSWORD, connection_timeout: 4,
              automatically_recover: false, recovery_attempts: 0).start
  }],
  'ruby-dalli' => [11211, 'ruby-dalli', lambda {
    require 'dalli'
    Dalli::Client.new("#{HOST}:#{PORT}", socket_timeout: 4).set('cart', 1)
  }],
  'ruby-mongo' => [27017, 'ruby-mongo', lambda {
    require 'mongo'
    Mongo::Client.new(["#{HOST}:#{PORT}"], server_selection_timeout: 3, connect_timeout: 2).database.collections
  }],
  'ruby-net-http' => [8080, 'ruby', lambda {
    require 'net/http'
    http = Net::HTTP.new(HOST, PORT)
    http.use_ssl = TLS
    http.open_timeout = http.read_timeout = 4
    http.get('/orders').value
  }],
  'ruby-faraday' => [8080, 'ruby-faraday', lambda {
    require 'faraday'
    Faraday.new(HTTP, request: { timeout: 4 }) { |f| f.response :raise_error }.get('/orders')
  }],
  'ruby-excon' => [8080, 'ruby-excon', lambda {
    require 'excon'
    Excon.get("#{HTTP}/orders", connect_timeout: 4, read_timeout: 4, expects: 200)
  }],
  'ruby-sequel' => [5432, 'ruby-sequel', lambda {
    require 'sequel'
    Sequel.connect("postgres://#{USER}:#{PASSWORD}@#{HOST}:#{PORT}/shop?connect_timeout=5")
  }],
  'ruby-activerecord' => [5432, 'ruby-activerecord', lambda {
    require 'active_record'
    ActiveRecord::Base.establish_connection(adapter: 'postgresql', host: HOST, port: PORT, username: USER,
                                            password: PASSWORD, database: 'shop', connect_timeout: 5)
    ActiveRecord::Base.connection
  }],
  'ruby-activerecord-mysql' => [3306, 'ruby-activerecord', lambda {
    require 'active_record'
    ActiveRecord::Base.establish_connection(adapter: 'mysql2', host: HOST, port: PORT, username: USER,
                                            password: PASSWORD, database: 'shop', connect_timeout: 4)
    ActiveRecord::Base.connection
  }],
  'ruby-aws-sdk-s3' => [9000, 'ruby-aws-sdk-s3', lambda {
    require 'aws-sdk-s3'
    Aws::S3::Client.new(endpoint: HTTP, region: 'eu-west-1', access_key_id: USER, secret_access_key: PASSWORD,
                        force_path_style: true, retry_limit: 0, http_open_timeout: 4, http_read_timeout: 4).list_buckets
  }],
  'ruby-net-ldap' => [389, 'ruby-net-ldap', lambda {
    require 'net/ldap'
    ldap = Net::LDAP.new(host: HOST, port: PORT, auth: { method: :simple, username: 'cn=app', password: PASSWORD },
                         encryption: TLS ? :simple_tls : nil, connect_timeout: 4)
    ldap.bind or raise "LDAP: #{ldap.get_operation_result.message}"
  }],
}.freeze

if ARGV.empty?
  CLIENTS.each { |name, (port, packages)| puts [name, port, packages].join("\t") }
  exit
end
$stdout.sync = $stderr.sync = true
begin
  CLIENTS[ARGV[0]][2].call
  puts "\x1ecame up"
rescue StandardError => e
  puts "\x1elogger"
  Logger.new($stdout).error(e)
  puts "\x1emessage"
  warn "start failed: #{e.message}"
  puts "\x1ejson"
  json = Logger.new($stdout)
  json.formatter = ->(level, time, _, text) { "#{JSON.generate(level: level, time: time.to_s, msg: text)}\n" }
  json.error("start failed: #{e.class}: #{e.message}")
  puts "\x1euncaught"
  raise
end
