# Perl's modules: what each prints when its first connection fails. Without arguments it lists
# them; with a name it runs one against HOST and PORT.
use strict;
use warnings;

my ($host, $port, $tls) = ($ENV{HOST} // '', $ENV{PORT} // 0, ($ENV{TLS} // '') eq '1');
my ($user, $password) = ('app', 'wrong-one');
my $http = ($tls ? 'https' : 'http') . "://$host:$port";

my %clients = (
    'perl-dbd-pg' => [5432, 'libdbd-pg-perl', sub {
        require DBI;
        DBI->connect("dbi:Pg:host=$host;port=$port;dbname=shop;connect_timeout=5", $user, $password, { RaiseError => 1 });
    }],
    'perl-dbd-mysql' => [3306, 'libdbd-mysql-perl', sub {
        require DBI;
        DBI->connect("dbi:mysql:host=$host;port=$port;database=shop;mysql_connect_timeout=4", $user, $password, { RaiseError => 1 });
    }],
    'perl-redis' => [6379, 'libredis-perl', sub {
        require Redis;
        Redis->new(server => "$host:$port", password => $password, cnx_timeout => 4, read_timeout => 3)->get('cart');
    }],
    'perl-lwp' => [8080, 'libwww-perl', sub {
        require LWP::UserAgent;
        my $answer = LWP::UserAgent->new(timeout => 4)->get("$http/orders");
        die $answer->status_line, "\n" unless $answer->is_success;
    }],
    'perl-mongodb' => [27017, 'libmongodb-perl', sub {
        require MongoDB;
        MongoDB->connect("mongodb://$host:$port/?serverSelectionTimeoutMS=3000&connectTimeoutMS=2500")->get_database('shop')->run_command([ping => 1]);
    }],
    'perl-net-ldap' => [389, 'libnet-ldap-perl', sub {
        require Net::LDAP;
        my $ldap = Net::LDAP->new($host, port => $port, timeout => 4, scheme => $tls ? 'ldaps' : 'ldap') or die $@;
        my $answer = $ldap->bind('cn=app', password => $password);
        die $answer->error, "\n" if $answer->code;
    }],
    'perl-io-socket' => [7000, 'perl-base', sub {
        require IO::Socket::INET;
        IO::Socket::INET->new(PeerAddr => $host, PeerPort => $port, Timeout => 4) or die "cannot open the socket: $@";
    }],
    'perl-http-tiny' => [8080, 'perl', sub {
        require HTTP::Tiny;
        my $answer = HTTP::Tiny->new(timeout => 4, verify_SSL => 1)->get("$http/orders");
        die "$answer->{status} $answer->{reason}: $answer->{content}\n" unless $answer->{success};
    }],
);
if (!@ARGV) {
    print join("\t", $_, @{ $clients{$_} }[0, 1]), "\n" for sort keys %clients;
    exit;
}
$| = 1;
eval { $clients{ $ARGV[0] }[2]->(); 1 } or do {
    my $error = $@;
    print "\x1emessage\n";
    warn "start failed: $error";
    print "\x1euncaught\n";
    die $error;
};
print "\x1ecame up\n";
