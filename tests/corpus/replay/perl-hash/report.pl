use strict;
use warnings;

my %legs = (wolf => 4, heron => 2, adder => 0, spider => 8, crab => 10, ant => 6);
print "$_ $legs{$_}\n" for keys %legs;
