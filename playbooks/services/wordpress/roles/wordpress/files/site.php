<?php
/*
 * Installs WordPress, or sees to what was ordered where it stands already: run as the slice's user, with what was ordered as JSON
 * on standard input. What a person changes in wp-admin stays until the same setting is ordered anew. Prints what it did, as JSON.
 */

$given = json_decode(stream_get_contents(STDIN), true, 8, JSON_THROW_ON_ERROR);
$_SERVER['WORDPRESS_CONFIG'] = $given['unit'];
$_SERVER['HTTP_HOST'] = $_SERVER['SERVER_NAME'] = 'localhost';
$_SERVER['HTTPS'] = 'on';
// No plugin of the site's has a say.
define('WP_INSTALLING', true);

// In place of a first post that leads elsewhere, and of a letter.
function wp_install_defaults($user_id) {
    if (!term_exists('uncategorized', 'category')) {
        $made = wp_insert_term(__('Uncategorized'), 'category', ['slug' => 'uncategorized']);
        update_option('default_category', $made['term_id']);
    }
}
function wp_new_blog_notification() {
}

require '/usr/share/wordpress/wp-load.php';
require ABSPATH . 'wp-admin/includes/upgrade.php';
add_filter('pre_http_request', fn() => new WP_Error('outgoing_closed', 'Nobody is called during an installation.'));
add_filter('send_password_change_email', '__return_false');
add_filter('send_email_change_email', '__return_false');

function finish($done, $problem = '') {
    echo json_encode(['done' => $done, 'problem' => $problem]);
    exit(0);
}

$done = [];
if (!is_email($given['admin_mail'])) {
    finish($done, 'admin_mail is no address of mail.');
}
// The last thing an installation writes; one that was cut off is gone through again.
$applied = is_blog_installed() ? get_option('pumasi_applied') : false;
if ($applied === false) {
    wp_install(
        $given['title'], $given['username'], $given['admin_mail'], $given['indexed'], '', $given['password'],
        $given['language'],
    );
    $standing = [
        'permalink_structure' => '/%year%/%monthnum%/%postname%/',
        'show_avatars' => 0,
        'default_ping_status' => 'closed',
        'default_pingback_flag' => 0,
        'comment_moderation' => 1,
    ];
    foreach ($standing as $name => $value) {
        update_option($name, $value);
    }
    $done[] = 'installed';
} elseif ((int) get_option('db_version') !== (int) $wp_db_version) {
    wp_upgrade();
    $done[] = 'upgraded';
}

$user = get_user_by('login', $given['username']);
if (!$user) {
    $made = wp_insert_user([
        'user_login' => $given['username'], 'user_pass' => $given['password'], 'user_email' => $given['admin_mail'],
    ]);
    if (is_wp_error($made)) {
        finish($done, 'The account could not be made: ' . $made->get_error_code() . '.');
    }
    $user = get_userdata($made);
    $done[] = 'account';
}
if (!wp_check_password($given['password'], $user->user_pass, $user->ID)) {
    wp_set_password($given['password'], $user->ID);
    $done[] = 'password';
}
if (!in_array('administrator', $user->roles, true)) {
    $user->set_role('administrator');
    $done[] = 'role';
}
// Visitors see who wrote something, and must not learn with which name to log in.
if ($user->user_nicename === $user->user_login) {
    wp_update_user(['ID' => $user->ID, 'user_nicename' => 'owner', 'display_name' => 'owner', 'nickname' => 'owner']);
    $done[] = 'nicename';
}

$wanted = [
    'blogname' => $given['title'],
    'admin_email' => $given['admin_mail'],
    'WPLANG' => $given['language'] === 'en_US' ? '' : $given['language'],
    'timezone_string' => $given['timezone'],
    'blog_public' => $given['indexed'] ? '1' : '0',
];
foreach ($wanted as $name => $value) {
    if (($applied[$name] ?? null) !== $value) {
        update_option($name, $value);
        $done[] = $name;
    }
}
if ($applied !== $wanted) {
    update_option('pumasi_applied', $wanted, false);
    // Rewritten by the next request, with the rules of every plugin.
    delete_option('rewrite_rules');
}
finish($done);
