s/<title>([a-z]+)/<title>\U\1/
s/page/leaf/g
