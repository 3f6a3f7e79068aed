"""What a node may observe, from chains, price sources, venues and owners; declares the ports that it reads."""
